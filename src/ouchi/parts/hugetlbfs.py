"""The instance's own hugetlbfs mount, for the guests' memory."""

from __future__ import annotations

from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine, Reader
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present


class Hugetlbfs(Part):
    name = "hugetlbfs"
    stage = "host"
    needs = ("hugepages",)

    def look(self, at: Context) -> PartState:
        path = at.instance.hugepages
        if is_mounted(at.machine, path):
            return present(path, "mounted")
        return missing(f"mount a hugetlbfs at {path}", path, "not mounted")

    def make(self, at: Context, notify: Notify) -> Outcome:
        return mount_hugetlbfs(at.machine, at.instance.hugepages, at.target.plan.hugepages[0].size_kib)

    def remove(self, at: Context) -> Outcome:
        done = undo(at.machine, at.instance.hugepages)
        return changed("; ".join(done)) if done else nothing("not mounted")


def is_mounted(machine: Reader, path: str) -> bool:
    """True when something is mounted exactly there (``/proc/self/mounts``, second field)."""
    return any(line.split()[1] == path for line in machine.read("/proc/self/mounts").splitlines())


def mount_hugetlbfs(machine: Machine, path: str, size_kib: int) -> Outcome:
    """Mount hugetlbfs for pages of one size. The run folder is ours, so the mount needs no journal."""
    if is_mounted(machine, path):
        return nothing(f"{path} is mounted")
    machine.make_folder(path)
    machine.run(("mount", "-t", "hugetlbfs", "-o", f"pagesize={size_kib}K,mode=0755", "ouchi-hugepages", path))
    return changed(f"{path} mounted")


def undo(machine: Machine, path: str) -> list[str]:
    """Unmount it."""
    if not is_mounted(machine, path):
        return []
    machine.run(("umount", path))
    return [f"{path} unmounted"]


PARTS = (Hugetlbfs(),)
