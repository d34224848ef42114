"""br-int and a bridge for each physnet, all in the userspace datapath (patch ports join no others)."""

from __future__ import annotations

from ouchi.clients.ovs import tables, vsctl
from ouchi.core.errors import Finding
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.parts import device
from ouchi.parts.context import Context
from ouchi.parts.ovs import DATAPATH, foreign_devices
from ouchi.parts.part import Part, PartState, missing, present, unknown

INTEGRATION = "br-int"


class Bridges(Part):
    name = "bridges"
    stage = "dataplane"
    needs = ("ovs",)

    def conflicts(self, at: Context) -> list[Finding]:
        return foreign_devices(at, names(at))

    def look(self, at: Context) -> PartState:
        if not at.machine.exists(at.instance.ovs_socket):
            return missing(f"make the bridges {', '.join(names(at))}", "Open vSwitch is not running")
        if "ovsdb" not in at.running:
            return unknown("ovsdb is down")
        if lost := _lost(at):
            return missing(f"make the bridges {', '.join(lost)}", f"missing: {', '.join(lost)}")
        return present(", ".join(names(at)))

    def make(self, at: Context, notify: Notify) -> Outcome:
        lost = _lost(at)
        for name in (DATAPATH, *names(at)):
            device.note(at.journal, name)
        words: list[str] = []
        for name in names(at):
            words += ["--", "--may-exist", "add-br", name, "--", "set", "Bridge", name, "datapath_type=netdev"]
            words += [f"external_ids:ouchi={at.instance.name}"]
        words += ["--", "set", "Bridge", INTEGRATION, "fail_mode=secure"]
        vsctl(at.machine, at.instance, *words, wait=30)
        return changed(f"made: {', '.join(lost)}") if lost else nothing(", ".join(names(at)))


def names(at: Context) -> tuple[str, ...]:
    """The bridges of the plan."""
    return (INTEGRATION, *at.target.bridges.values())


def _lost(at: Context) -> list[str]:
    """Those that Open vSwitch has not, or not in the userspace datapath."""
    rows = tables(at.machine, at.instance, "Bridge", ("name", "datapath_type"))
    found = {str(row["name"]): str(row["datapath_type"]) for row in rows}
    return [name for name in names(at) if found.get(name) != "netdev"]


PARTS = (Bridges(),)
