"""Measure the planner: one host, ten thousand, and one of 1024 CPUs and 64 NICs, from snapshots.

The hosts are the test cases, as archives that ``inspect --save`` writes.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory  # noqa: TID251  # snapshots of the cases, not the host's files

from benchmarks.cycle import Notify, Record
from ouchi.facts import collect
from ouchi.machine.snapshot import open_snapshot
from ouchi.machine.snapshot.recorder import Recorder
from ouchi.machine.snapshot.save import save
from ouchi.plan import make_plan
from ouchi.site import Site, load_site
from tests.hosts import CASES, build, names
from tests.hosts.description import Cores, Host, Net, Node, Pci, load
from tests.hosts.tree import Tree

MANY = 10_000
WORKERS = 2
ONE, BIG = "ryzen-5-3600", "big"
ONE_RUNS = 20
SITE = b"""name: big
networks: [{name: left, vlan: 101, subnet: 10.101.0.0/24}]
servers: [{name: one, vcpus: 4, memory: 4 GiB, ports: [{network: left}]}]
"""


def measure_planning(record: Record, say: Notify) -> None:
    """Opening, reading and planning, from the archive to the JSON; imports are not in it."""
    with archives() as folder:
        for _ in range(ONE_RUNS):
            site_of.cache_clear()
            record.add("plan-one", timed(folder, ONE) * 1000)
            record.add("plan-big", timed(folder, BIG) * 1000)
        say(f"one host: {ONE_RUNS} runs; now {MANY}")
        seconds, early, late = many(folder)
        record.add("plan-many", seconds)
        record.add("plan-memory", late)
        record.remarks.append(
            f"Planning {MANY} hosts: {early:.0f} MB in a process after a tenth of them, {late:.0f} MB at the end"
        )


@contextmanager
def archives() -> Iterator[Path]:
    """A folder with an archive and a site of every case, and of the big host."""
    with TemporaryDirectory(prefix="ouchi-planning-") as text:
        folder = Path(text)
        for name in names():
            host = CASES / name / "host.yaml"
            if host.exists():
                record_host(build(load(host)), (CASES / name / "site.yaml").read_bytes(), folder, name)
        record_host(build(big_host()), SITE, folder, BIG)
        yield folder


def record_host(tree: Tree, site: bytes, folder: Path, name: str) -> None:
    """Save what facts read of a host, as ``inspect --save`` does, and its site beside it."""
    tree.to_folder(folder / name)
    whole = open_snapshot(os.fspath(folder / name))
    recorder = Recorder(whole, whole.readlink)
    collect(recorder)
    save(recorder.noted, os.fspath(folder / f"{name}.tar.gz"))
    (folder / f"{name}.yaml").write_bytes(site)


def big_host() -> Host:
    """Eight nodes of 64 cores with two threads in L3 groups of eight, and 64 NICs."""
    cores = tuple(
        Cores(
            count=8, threads=2, package=group // 8, node=group // 8, l3=group, first_id=8 * (group % 8), max_khz=3000000
        )
        for group in range(64)
    )
    nics = tuple(
        Pci(
            address=f"0000:{bus:02x}:00.0", id="8086:1572", driver="i40e", node=bus % 8, group=bus,
            net=Net(name=f"enp{bus}s0", mac=f"02:00:00:00:00:{bus:02x}", speed=10000),
        )
        for bus in range(1, 65)
    )  # fmt: skip
    memory = tuple(Node(node=node, total_kib=256 << 20, free_kib=250 << 20) for node in range(8))
    base = load(CASES / "epyc-7713-nps1" / "host.yaml")
    return Host(
        cores=cores, l3_kib=(32768,) * 64, memory=memory, available_kib=2000 << 20, processor=base.processor, pci=nics,
        dpdk="22.11", ovs="3.1.0",
    )  # fmt: skip


def many(folder: Path) -> tuple[float, float, float]:
    """Seconds for all of them, and the resident memory of the larger worker after a tenth and at the end, in MB."""
    hosts = [path.name.removesuffix(".yaml") for path in sorted(folder.glob("*.yaml")) if path.name != f"{BIG}.yaml"]
    chosen = [(str(folder), hosts[number % len(hosts)]) for number in range(MANY)]
    begin = time.perf_counter()
    with ProcessPoolExecutor(WORKERS) as pool:
        held = list(pool.map(plan_one, chosen, chunksize=50))
    seconds = time.perf_counter() - begin
    return seconds, max(held[: MANY // 10]), max(held[-MANY // 10 :])


def plan_one(where: tuple[str, str]) -> float:
    """One host, from its archive to its plan's JSON; returns what this process then holds, in MB."""
    timed(Path(where[0]), where[1])
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@lru_cache
def site_of(file: Path) -> Site:
    """A site, read once in each process: a fleet has few."""
    return load_site(file.read_bytes(), file.name)


def timed(folder: Path, name: str) -> float:
    """Seconds for one host."""
    begin = time.perf_counter()
    site = site_of(folder / f"{name}.yaml")
    tree = open_snapshot(os.fspath(folder / f"{name}.tar.gz"))
    make_plan(site, collect(tree)).to_json()
    return time.perf_counter() - begin
