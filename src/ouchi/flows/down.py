"""``ouchi down``: the stages of ``up`` backwards, from the journal and from live state; killed anywhere, run it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ouchi.clients.libvirt import virsh
from ouchi.core.events import Kind, Timeline
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import processes
from ouchi.machine.guests import guests_of
from ouchi.machine.local import LocalMachine
from ouchi.parts import clouds, device, hugepages, libvirt, packages
from ouchi.parts import hugetlbfs as mount
from ouchi.parts.openstack.services import APIS, LATER
from ouchi.parts.supervise import Supervisor
from ouchi.parts.supervise.choose import choose_supervisor
from ouchi.steps.journal import Journal

GUEST_SECONDS = 6.0
"""How long guests may take to power off by themselves before they are stopped."""


def down(machine: LocalMachine, instance: Instance, timeline: Timeline, *, purge: bool) -> bool:
    """Stop everything of this instance and undo every change; True when there was anything to do.

    The data (databases, images, guests' disks, passwords) is kept unless ``purge``.
    """
    if not any(machine.exists(folder) for folder in (instance.state, instance.run)):
        return False
    journal = Journal(machine, instance.state)
    supervisor = choose_supervisor(machine, instance)
    # The control plane goes first: nova must not see its guests stop, or it would note that they shall be off.
    stages: list[tuple[str, str, Callable[[], Outcome]]] = [
        ("cloud", "control plane", lambda: _stop(supervisor, instance, [*LATER, *(f"{name}-api" for name in APIS)])),
        ("servers", "guests", lambda: stop_guests(machine, instance)),
        ("cloud", "services", lambda: _shutdown(supervisor, instance)),
        ("dataplane", "devices", lambda: _done(device.undo(machine, journal))),
        ("cloud", "libvirt", lambda: _done(libvirt.undo(machine, journal))),
        ("host", "hugetlbfs", lambda: _done(mount.undo(machine, instance.hugepages))),
        ("host", "hugepages", lambda: _done(hugepages.undo(machine, journal))),
        ("cloud", "clouds.yaml", lambda: _done(clouds.undo(machine, journal))),
        ("prepare", "packages", lambda: _done(packages.undo(machine, journal))),
        ("host", "folders", lambda: remove_folders(machine, instance, purge=purge)),
    ]
    for stage, name, act in stages:
        begin = time.monotonic()
        timeline.emit(Kind.STARTED, stage, name)
        outcome = act()
        kind = Kind.CHANGED if outcome.changed else Kind.NOTHING
        timeline.emit(kind, stage, name, outcome.text, time.monotonic() - begin)
    return any(event.kind is Kind.CHANGED for event in timeline.events)


def _done(texts: list[str]) -> Outcome:
    return changed("; ".join(texts)) if texts else nothing("nothing of ours")


def _stop(supervisor: Supervisor, instance: Instance, names: Sequence[str]) -> Outcome:
    running = _running(instance).intersection(names)
    supervisor.stop(names)
    return changed(f"{len(running)} services stopped") if running else nothing("not running")


def _shutdown(supervisor: Supervisor, instance: Instance) -> Outcome:
    running = _running(instance)
    supervisor.shutdown()
    return changed(f"{len(running)} services stopped") if running else nothing("not running")


def _running(instance: Instance) -> set[str]:
    """The services that have a process, also without a supervisor."""
    return {process.service for process in processes.marked(instance.name)}


def stop_guests(machine: LocalMachine, instance: Instance) -> Outcome:
    """Ask every guest to power off, then stop those that have not; also without libvirtd."""
    guests = guests_of(instance)
    if not guests:
        return nothing("no guest runs")
    count = len(guests)
    names = virsh(machine, instance, "list", "--name", check=False, timeout=10).split()
    for name in names:
        virsh(machine, instance, "shutdown", name, "--mode", "acpi", check=False)
    end = time.monotonic() + (GUEST_SECONDS if names else 0)
    while (guests := guests_of(instance)) and time.monotonic() < end:
        time.sleep(0.1)
    for guest in guests:
        guest.kill()
    return changed(f"{count} guests stopped" + (f", {len(guests)} of them not by themselves" if guests else ""))


def remove_folders(machine: LocalMachine, instance: Instance, *, purge: bool) -> Outcome:
    """Remove the run folder; with ``purge`` the data and logs too."""
    # The state folder goes last: while it is there, a run that was killed here is continued by the next.
    folders = [instance.run, *((instance.logs, instance.state) if purge else ())]
    there = [folder for folder in folders if machine.exists(folder)]
    for folder in there:
        machine.remove(folder)
    kept = "" if purge else f"; data kept in {instance.state} (forget it with: ouchi down --purge)"
    return changed(f"removed: {', '.join(there)}{kept}") if there else nothing("no folder")
