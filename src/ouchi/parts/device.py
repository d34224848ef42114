"""Network devices and namespaces that are ours: noted before they are made, removed by their names.

OVS's userspace datapath makes its bridges' devices persistent, so they outlive an ovs-vswitchd that is killed or
stopped.
"""

from __future__ import annotations

from ouchi.machine import Machine
from ouchi.steps.journal import Journal

KIND = "device"
FOLDER_KIND = "netns"
SPACES = "/run/netns"
"""Where iproute2 keeps namespaces: with the first one it makes this folder and a mount point of it, for good."""


def note(machine: Machine, journal: Journal, name: str, namespace: str = "") -> None:
    """Notify that a device, and perhaps a namespace for it, is about to be made by us."""
    journal.note(KIND, name, {"namespace": namespace})
    if namespace and not machine.exists(SPACES):
        journal.note(FOLDER_KIND, SPACES, {})


def is_ours(journal: Journal, name: str) -> bool:
    """True for a device that we have made or were about to make."""
    return name in journal.records(KIND)


def undo(machine: Machine, journal: Journal) -> list[str]:
    """Remove the devices and namespaces, and the folder of namespaces when it came with ours and is empty.

    To be called when nothing of ours uses them any more.
    """
    done = []
    for name, record in journal.records(KIND).items():
        if machine.exists(f"/sys/class/net/{name}"):
            machine.run(("ip", "link", "delete", name), check=False)
            done.append(name)
        if space := record["namespace"]:
            machine.run(("ip", "netns", "delete", str(space)), check=False)
            done.append(f"namespace {space}")
        journal.forget(KIND, name)
    for folder in journal.records(FOLDER_KIND):
        if not machine.entries(folder):
            machine.run(("umount", folder), check=False)
            machine.remove(folder)
        journal.forget(FOLDER_KIND, folder)
    return [f"removed: {', '.join(done)}"] if done else []
