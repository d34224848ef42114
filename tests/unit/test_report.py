"""What people read: whole at every width, quiet in a pipe, in colour where it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ouchi.core.errors import error, warning
from ouchi.facts import collect
from ouchi.machine.snapshot import SnapshotReader
from ouchi.parts.host_status import HostStatus, PartLine
from ouchi.parts.part import PartState, missing, present, unknown
from ouchi.report.facts import facts_text
from ouchi.report.page import WIDEST, page
from ouchi.report.plan import plan_text
from ouchi.report.preview import preview_text
from ouchi.report.status import status_text
from tests.hosts import names
from tests.plans import target_of

NAMES = names()
WIDTHS = range(80, WIDEST + 1, 4)

PARTS = (
    PartLine("host", "hugepages", present("node 0: 560 of 2 MiB, 16 free; 560 planned", "reserved")),
    PartLine(
        "dataplane",
        "ovs",
        present("ovsdb: pid 12344, up 3 min, ovs-vswitchd: pid 12345, up 3 min, restarted once (last exit: SIGSEGV)"),
    ),
    PartLine("dataplane", "nics", PartState(False, "not attached", "dpdk0, [bold] no such port", "attach dpdk0")),
    PartLine("cloud", "neutron-ovn-maintenance", PartState(False, "not started", "no process", "start it")),
    PartLine("servers", "servers", unknown("nova-api is not running", "make one")),
)
FINDINGS = (error("nics: not attached", found="dpdk0, [bold] no such port", expected="as planned", remedy="ouchi up"),)
STATUS = HostStatus(True, ("overlapped: figures are not meaningful as performance",), PARTS, FINDINGS)
STATES = {
    ("host", "a"): missing("reserve pages " * 12),
    ("host", "b"): present("reserved " * 12),
    ("host", "c"): unknown("only root may read it " * 12, "reserve pages"),
}


def ink(text: str) -> Counter[str]:
    """What is drawn, but for rules and space, which go with the width."""
    return Counter(text.replace("─", "").replace(" ", "").replace("\n", ""))


def pages() -> dict[str, Callable[..., str]]:
    """Each kind of page, as a function of width and colour."""
    found: dict[str, Callable[..., str]] = {"status": partial(status_text, STATUS)}
    for name in NAMES:
        target = target_of(name)
        found[f"facts {name}"] = partial(facts_text, target.facts)
        found[f"plan {name}"] = partial(plan_text, target.plan)
        found[f"preview {name}"] = partial(preview_text, target, STATES)
    return found


PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_lost_at_any_width(name: str, thorough: bool) -> None:
    """Each page at each width; in a hurry, at the narrowest and one other, so that each width has its pages."""
    whole = ink(PAGES[name](400, colour=False))
    others = WIDTHS if thorough else WIDTHS[list(PAGES).index(name) % len(WIDTHS) :][:1]
    for width in {WIDTHS[0], *others}:
        text = PAGES[name](width, colour=False)
        assert ink(text) == whole, f"{width} columns"
        assert all(len(line) <= width and line == line.rstrip() for line in text.splitlines())
        assert "\x1b" not in text


@pytest.mark.parametrize("name", ["status", "facts vm-8-cpus", "plan vm-8-cpus", "preview vm-8-cpus"])
def test_colour_only_where_it_is_asked_for(name: str) -> None:
    assert "\x1b[" in PAGES[name](100, colour=True)
    assert "\x1b" not in PAGES[name](colour=None)  # pytest's output is no terminal


def test_the_width_is_the_terminals_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in (("60", 60), ("100", 100), ("200", WIDEST)):
        monkeypatch.setenv("COLUMNS", columns)
        assert max(map(len, page("word " * 100).splitlines())) in range(width - 5, width + 1)


def test_a_status_says_what_is_wrong_and_what_to_do() -> None:
    lines = status_text(STATUS, 100, colour=False).splitlines()
    assert lines[0] == "ouchi is up, but 3 of 5 parts are not as planned"
    assert lines[1] == "label: overlapped: figures are not meaningful as performance"
    rows = [line.split() for line in lines]
    assert any(row[:5] == ["host", "✔", "hugepages", "reserved", "node"] for row in rows)
    assert any(row[1:3] == ["?", "servers"] for row in rows)
    assert any("[bold] no such port" in line for line in lines)
    assert [line for line in lines if line.startswith("error: ")] == ["error: nics: not attached"]
    assert lines.count("  next:     ouchi up") == 1
    stages = [row[0] for row in rows if row and row[0] in {"host", "dataplane", "cloud", "servers"}]
    assert stages == ["host", "dataplane", "cloud", "servers"]


def test_a_host_that_is_up_or_not() -> None:
    assert status_text(HostStatus(True, (), PARTS[:2], ())).startswith("ouchi is up: 2 parts, all as planned\n")
    assert status_text(HostStatus(False, (), (), ())) == "ouchi is not up (next: ouchi up)"
    left = HostStatus(False, (), (), (warning("changes are still in place", remedy="ouchi down"),))
    assert status_text(left).splitlines()[-1] == "  next:     ouchi down"


def test_facts_show_caches_sockets_and_what_nics_carry() -> None:
    text = PAGES["facts ryzen-5-3600"](80, colour=False)
    assert "12 CPUs, 6 cores, 1 socket, 1 NUMA node" in text
    assert [line.split()[7:] for line in text.splitlines() if "GHz" in line] == [
        ["0,6", "1,7", "2,8"],
        ["3,9", "4,10", "5,11"],
    ]
    (nic,) = [line for line in text.splitlines() if line.startswith("enp5s0f0")]
    assert "nothing: OVS-DPDK may have it" in nic
    assert "the default route" in next(line for line in text.splitlines() if line.startswith("enp6s0"))
    assert "offline: 2,7" in PAGES["facts cpu-offline"](80)
    assert "2 sockets, 2 NUMA nodes" in PAGES["facts dual-socket-nic-on-node-1"](80)


def test_an_empty_host(tmp_path: Path) -> None:
    text = facts_text(collect(SnapshotReader(tmp_path)), 80)
    assert "1 CPU, 1 core" in text
    assert "NICs  none" in text


def test_the_preview_counts_what_would_change() -> None:
    text = PAGES["preview vm-8-cpus"](80)
    assert text.splitlines()[-1] == "a dry run: nothing was changed; 1 of 3 tasks would change something"
    assert "would reserve pages" in text
