"""Measure the generator's maximum and accuracy, and a path through OVS."""

# ruff: noqa: TID251  # testpmd is measured as well, from outside the package
from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.command import Ouchi, Ran
from benchmarks.cycle import Notify, Record, delete_data
from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.measure.generator.build import PACKAGES, build
from ouchi.measure.generator.frames import Headers
from ouchi.measure.generator.process import Generator, RoutedStream
from ouchi.measure.generator.streams import make_stream
from ouchi.parts import packages
from ouchi.steps.journal import Journal
from ouchi.vnf.testpmd import PACKAGE

PAGES = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
MORE_PAGES = 300
RUNS, SECONDS = 10, 1.0
BILLION = 1_000_000_000
HEADERS = Headers(
    src_mac="02:00:00:00:00:01", dst_mac="02:00:00:00:00:02", src_ip="198.18.0.1", dst_ip="198.19.0.1", src_port=1024, dst_port=7
)  # fmt: skip


def measure_traffic(ouchi: Ouchi, record: Record, say: Notify) -> None:
    """Measure the generator alone, alternately with testpmd, then ``ouchi bench`` through OVS."""
    machine = LocalMachine()
    with more_pages(machine), tempfile.TemporaryDirectory(prefix="ouchi-traffic-") as folder:
        packages.install(Journal(machine, folder), (*PACKAGES, PACKAGE), say)
        program = build(machine, Instance(), say)
        for _ in range(RUNS):
            sends(machine, program, folder, record)
            record.add("testpmd-sends", testpmd())
        say("the rates of one core sending: measured, beside testpmd's")
        receives(machine, program, folder, record)
        rounds(machine, program, folder, record, say)
    through(ouchi, record, say)
    beside_kernel(ouchi, record)
    delete_data(ouchi, machine, Instance())


@contextmanager
def more_pages(machine: LocalMachine) -> Iterator[None]:
    """Reserve hugepages for the generator, and release them at the end."""
    before = int(machine.read(PAGES))
    machine.poke(PAGES, str(before + MORE_PAGES))
    try:
        yield
    finally:
        machine.poke(PAGES, str(before))


def sends(machine: LocalMachine, program: str, folder: str, record: Record) -> None:
    """64-byte frames from one core into a port that drops them; and the time from the start to the first frame."""
    begin = time.monotonic()
    with Generator(machine, program, folder, (0, 1)) as generator:
        generator.open("sink", "net_null0,no-rx=1")
        generator.load([RoutedStream(make_stream("64", HEADERS), "sink", "sink")])
        generator.run([0.0], count=1, drain=0)
        record.add("traffic-start", time.monotonic() - begin)
        sent = generator.run([0.0], seconds=SECONDS, drain=0)["streams"][0]["tx"]
        record.add("traffic-sends", sent["accepted"] / (sent["last"] - sent["first"]) / 1e6)


def testpmd() -> float:
    """Mpps of testpmd's txonly on the same kind of port and CPU: bare, without sequence numbers or times."""
    argv = [
        "dpdk-testpmd",
        "--in-memory",
        "--no-telemetry",
        "--no-pci",
        "--lcores",
        "0@0,1@1",
        "--file-prefix",
        "reference",
    ]
    argv += ["--vdev", "net_null0,no-rx=1", "--", "--forward-mode=txonly", "--stats-period=1", "--no-mlockall"]
    argv += ["--total-num-mbufs=16384", "--auto-start"]
    done = subprocess.run(["timeout", "-s", "INT", "4", *argv], capture_output=True, text=True, check=False)
    rates = [int(rate) for rate in re.findall(r"Tx-pps:\s+([0-9]+)", done.stdout) if int(rate)]
    return median(rates) / 1e6


def receives(machine: LocalMachine, program: str, folder: str, record: Record) -> None:
    """One core sends into a ring, another one takes from it and checks: as much as the slower of the two does."""
    with Generator(machine, program, folder, (0, 0, 1)) as generator:
        generator.open("ring", "net_ring0", worker=1)
        generator.load([RoutedStream(make_stream("64", HEADERS), "ring", "ring", worker=0)])
        for _ in range(RUNS):
            got = generator.run([0.0], seconds=SECONDS)["streams"][0]["rx"]
            record.add("traffic-receives", got["received"] / (got["last"] - got["first"]) / 1e6)


def rounds(machine: LocalMachine, program: str, folder: str, record: Record, say: Notify) -> None:
    """One core that sends into a ring, receives from it and checks: its most, its rates, a billion frames."""
    with Generator(machine, program, folder, (0, 1)) as generator:
        generator.open("ring", "net_ring0")
        generator.load([RoutedStream(make_stream("64", HEADERS), "ring", "ring")])
        for _ in range(RUNS):
            sent = generator.run([0.0], seconds=SECONDS)["streams"][0]["tx"]
            record.add("traffic-rounds", sent["accepted"] / (sent["last"] - sent["first"]) / 1e6)
        most = median(record.samples["traffic-rounds"]) * 1e6
        for pps in (1e3, 1e4, 1e5, 1e6, most * 0.5, most * 0.9):
            for _ in range(3):
                sent = generator.run([pps], seconds=SECONDS)["streams"][0]["tx"]
                record.add("traffic-rate-error", abs(sent["accepted"] / sent["intended"] - 1) * 100)
        say("the truth of its rates: measured; now a billion frames")
        output = generator.run([0.0], count=BILLION)["streams"][0]
        wrong = output["tx"]["accepted"] - output["rx"]["received"]
        wrong += output["rx"]["duplicated"] + output["rx"]["reordered"] + output["rx"]["corrupt"]
        record.add("traffic-billion", abs(wrong))


def bench(ouchi: Ouchi, *words: str) -> Ran:
    """A run of ``ouchi bench`` that looks for the rate without loss; a search has a minute."""
    with tempfile.TemporaryDirectory(prefix="ouchi-traffic-") as folder:
        return ouchi.run(
            "bench", "--path", "v2v", "--goal", "ndr", "--max-seconds", "60", *words, "-o", f"{folder}/run", "--json",
            "--site", f"{folder}/ouchi.yaml", seconds=1800, fine=(0, 1),
        )  # fmt: skip


def through(ouchi: Ouchi, record: Record, say: Notify) -> None:
    """From one vhost-user port to another, ten searches of 64-byte frames."""
    ran = bench(ouchi, "--repeats", str(RUNS))
    run = json.loads(ran.stdout)
    trials = [each["trial"] for each in run["trials"]]
    for trial in trials:
        if trial["label"] == "unpaced":
            record.add("v2v-most", trial["sent"] / trial["seconds"] / 1e6)
            for pmd in trial["counters"]["ovs"]["pmd"].values():
                record.add("v2v-busy", pmd["busy"] * 100)
                record.add("v2v-cycles", pmd["cycles_per_packet"])
    for result in run["results"]:
        lower = result["bounds"][0]["lower_pps"]
        if lower is not None:
            record.add("v2v-ndr", lower / 1e6)
    searches = [
        arrival.event.seconds
        for arrival in ran.arrivals
        if arrival.event.stage == "measure" and " of " in arrival.event.task and arrival.event.seconds
    ]
    for seconds in searches:
        record.add("v2v-ndr-seconds", seconds)
    found = record.samples.get("v2v-ndr", [])
    for rate in found:
        record.add("v2v-ndr-off", abs(rate / median(found) - 1) * 100)
    invalid = sum(1 for trial in trials if not trial["valid"])
    record.remarks.append(
        f"Through OVS: {invalid} of {len(trials)} trials were not valid; labels: {'; '.join(run['info']['labels'])}"
    )
    say("through OVS: measured; now the kernel beside it")


def beside_kernel(ouchi: Ouchi, record: Record) -> None:
    """The same searches through the kernel's bridge, in one run with OVS's: the ratio at two frame sizes."""
    run = json.loads(bench(ouchi, "--beside-kernel", "--size", "64", "--size", "1518", "--repeats", "2").stdout)
    for row in run["extras"]:
        if "ratio" in row["figures"]:
            record.add(f"kernel-ratio-{row['size']}", row["figures"]["ratio"])
            record.add(f"kernel-{row['size']}", row["pps"] / 1e6)
