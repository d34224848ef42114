"""``ouchi metrics`` and ``ouchi top`` in a lab, on a real Open vSwitch with packets: scraped, watched, ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from terminal import Terminal

if TYPE_CHECKING:
    from lab import Lab

DATABASE = "--db=unix:/run/ouchi/ovs/db.sock"
SCRAPE = """
import sys, time, urllib.request
begin = time.monotonic()
print(urllib.request.urlopen(sys.argv[1], timeout=15).read().decode(), end="")
print(time.monotonic() - begin, file=sys.stderr)
"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def up(lab: Lab) -> Iterator[Lab]:
    """The dataplane, with a port that receives packets all the time, and one that takes them."""
    lab.ouchi("up", "--until", "dataplane", timeout=300)
    for number, name in enumerate(("source", "sink")):
        options = ("type=dpdk", f"options:dpdk-devargs=net_null{number}" + ",no-rx=1" * number)
        lab.run(
            [
                "ovs-vsctl",
                DATABASE,
                "--timeout=20",
                "add-port",
                "br-int",
                name,
                "--",
                "set",
                "Interface",
                name,
                *options,
            ]
        )
    bridge = "unix:/run/ouchi/ovs/br-int.mgmt"
    lab.run(["ovs-ofctl", "--names", "add-flow", bridge, "priority=99,in_port=source,actions=output:sink"])
    yield lab
    lab.ouchi("down", timeout=120)


def samples_of(text: str) -> Samples:
    """By the parser of Prometheus' own client library."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    (found,) = [number for (known, own), number in samples.items() if known == name and labels.items() <= own]
    return found


def scrape(lab: Lab, url: str) -> Samples:
    """A scrape of which every reading was in time: on a busy machine some are not."""
    end = time.monotonic() + 120
    while True:
        done = lab.run(["python3", "-c", SCRAPE, url], check=False)
        found = samples_of(done.stdout)
        read = [number for (name, _), number in found.items() if name == "ouchi_reading_success"]
        if read and all(read):
            return found
        assert time.monotonic() < end, done.stderr


def await_line(process: subprocess.Popen[Any], word: str) -> str:
    """The first line on its standard error that has a word."""
    assert process.stderr
    while word not in (line := process.stderr.readline()):
        assert line
    return str(line)


def test_scrapes_see_what_the_switch_does_and_share_a_reading(up: Lab) -> None:
    server = up.start("metrics", "--listen", "127.0.0.1:0")
    url = next(word for word in await_line(server, "serving").split() if word.startswith("http")).rstrip(";")
    first = scrape(up, url)
    begin = time.monotonic()
    scrapes = [up.start_program(["python3", "-c", SCRAPE, url]) for _ in range(6)]
    texts = [scrape.communicate(timeout=60)[0] for scrape in scrapes]
    assert time.monotonic() - begin < 60
    assert len(set(texts)) <= 3  # six readings would all differ
    assert all(text.startswith("# HELP ouchi_") for text in texts if text)  # a busy machine may have answered 503
    last = scrape(up, url)
    assert value(first, "ouchi_vswitchd_running", whose="ours") == 1
    assert value(first, "ouchi_plan_readable") == 1
    assert value(first, "ouchi_check_unknown", check="ovs.running") == 0
    for name, labels in (
        ("ouchi_pmd_busy_cycles_total", {}),
        ("ouchi_pmd_received_packets_total", {}),
        ("ouchi_port_receive_packets_total", {"port": "source", "bridge": "br-int", "type": "dpdk"}),
        ("ouchi_port_transmit_packets_total", {"port": "sink"}),
    ):
        assert value(last, name, **labels) > value(first, name, **labels) > 0
    assert sum(number for (name, _), number in first.items() if name == "ouchi_hugepages") > 0
    up.signal(server, signal.SIGTERM)
    _, errors = server.communicate(timeout=30)
    assert (server.returncode, errors) == (0, "")


def test_ctrl_c_ends_the_server(up: Lab) -> None:
    server = up.start("metrics", "--listen", "127.0.0.1:0")
    await_line(server, "serving")
    up.signal(server, signal.SIGINT)
    _, errors = server.communicate(timeout=30)
    assert (server.returncode, errors) == (130, "")


def test_top_shows_rates(up: Lab) -> None:
    end = time.monotonic() + 120
    while True:
        lines = up.ouchi("top", "--count", "2", "--interval", "0.5", "--json", timeout=60).stdout.splitlines()
        if not any(json.loads(line)["failed"] for line in lines):
            break
        assert time.monotonic() < end, lines
    for found in map(json.loads, lines):
        (pmd,) = found["pmds"]
        ports = {port["name"]: port for port in found["ports"]}
        assert 0 < pmd["busy"] <= 1
        assert pmd["rx_pps"] > 1000
        assert ports["source"]["rx_pps"] > 1000
        assert ports["sink"]["tx_pps"] > 1000
    assert len(lines) == 2
    text = up.ouchi("top", "--count", "1", timeout=60).stdout
    assert "\x1b" not in text
    assert {line.split()[0] for line in text.splitlines() if line} <= {"pmd", "port", "unknown"}


def test_ctrl_c_ends_top(up: Lab) -> None:
    process = up.start("top", "--json")
    assert process.stdout
    assert process.stdout.readline()
    up.signal(process, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


def test_a_key_ends_top_on_a_terminal(up: Lab) -> None:
    """It draws on the other screen, and restores the terminal's mode."""
    with Terminal(up, [sys.executable, "-m", "ouchi", "top", "--interval", "1"]) as terminal:
        terminal.until(b"source", b"q: end")
        terminal.write(b"q")
        assert terminal.ended() == 0
        assert b"\x1b[?1049h" in terminal.shown
        assert b"Traceback" not in terminal.shown
        assert terminal.mode() == terminal.before
