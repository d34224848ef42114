"""Open vSwitch: ovs-vsctl and ovs-appctl against one instance, and their JSON output as Python values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ouchi.core.instance import Instance
from ouchi.machine import Machine, Result


def vsctl(machine: Machine, instance: Instance, *words: str, wait: float = 0) -> str:
    """ovs-vsctl against this instance; ``wait`` (seconds) waits for ovs-vswitchd to have done it."""
    timing = [f"--timeout={wait:g}"] if wait else ["--no-wait", "--timeout=10"]
    argv = ["ovs-vsctl", f"--db=unix:{instance.ovs_socket}", *timing, *words]
    return machine.run(argv, timeout=wait + 15).stdout


def appctl(machine: Machine, instance: Instance, *words: str, check: bool = True) -> Result:
    """ovs-appctl against this instance's ovs-vswitchd."""
    argv = ("ovs-appctl", "--timeout=10", *words)
    return machine.run(argv, timeout=15, check=check, env={"OVS_RUNDIR": instance.ovs})


def quote(value: str) -> str:
    """A value as ovs-vsctl's database syntax reads it back: a JSON string."""
    return json.dumps(value)


def tables(machine: Machine, instance: Instance, table: str, columns: Sequence[str]) -> list[dict[str, object]]:
    """Rows of OVS's database as dictionaries of plain values (maps as dictionaries, sets as lists)."""
    text = vsctl(machine, instance, "--format=json", f"--columns={','.join(columns)}", "list", table)
    return parse_rows(text)


def parse_rows(text: str) -> list[dict[str, object]]:
    """``--format=json`` output as dictionaries (RFC 7047, section 5.1: sets and maps are tagged pairs)."""
    answer = json.loads(text)
    return [dict(zip(answer["headings"], map(_plain, row), strict=True)) for row in answer["data"]]


def pmd_counts(text: str) -> dict[tuple[int, int], dict[str, int]]:
    """The counters in the output of ``dpif-netdev/pmd-stats-show`` by the NUMA node and CPU of each PMD thread."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    thread: tuple[int, int] | None = None
    for line in text.splitlines():
        if match := re.match(r"pmd thread numa_id (-?[0-9]{1,4}) core_id ([0-9]{1,4}):", line):
            thread = int(match[1]), int(match[2])
            found[thread] = {}
        elif line.startswith("main thread"):
            thread = None
        elif thread and (match := re.match(r"\s+([a-z /]+): ([0-9]{1,20})(?![0-9.])", line)):
            found[thread][match[1]] = int(match[2])
    return found


def _plain(value: object) -> object:
    match value:
        case ["set", list(items)]:
            return [_plain(item) for item in items]
        case ["map", list(pairs)]:
            return {str(_plain(key)): _plain(item) for key, item in pairs}
        case ["uuid" | "named-uuid", str(text)]:
            return text
        case _:
            return value
