"""Guests: running, vCPUs and emulator threads on their CPUs, memory on hugepages, interfaces connected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ouchi.checks.model import Level, Observation, Seen, check, judge, ok, unknown
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import UP
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, error
from ouchi.live.guests import VHOST_USER, Guest
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.threads import Thread
from ouchi.plan import GuestPlan
from ouchi.plan.target import Target
from ouchi.plan.values import counted

TASKS = "/proc/*/task/*/status"
ONLY_ROOT = "only root sees the guests of libvirt: sudo ouchi doctor"

IGNORED = ("TC ", "kvm-nx-lpage-re")
"""Threads of a QEMU process that need no placement, by the start of their names.

QEMU's thread contexts only pass their affinity on to the threads that touch the memory at the start. KVM's recovery
thread (part of the process since Linux 6.13) runs once a minute, inherits the CPU of the vCPU that started it, and
cannot be moved by libvirt.
"""

STOPPED = ("paused", "pmsuspended", "crashed")
"""States of libvirt (virDomainState) in which a guest's vCPUs do not run."""

STEAL = (
    "a vCPU that waits for its CPU does not empty its ring: what OVS sends it meanwhile is dropped, counted as "
    "ovs_tx_failure_drops"
)


@check("guests.running", Level.RUNNING, "every server of the site has a running guest", MACHINE)
def running(live: Live, target: Target) -> Observation | None:
    """Look for a guest of each server that is not paused; applies where ouchi's libvirtd is up."""
    if not live.libvirt or not target.plan.guests:
        return None
    if not live.root:
        return unknown(ONLY_ROOT)
    servers = {guest.server for guest in live.guests}
    problems = [
        error(
            f"the server {guest.name} has no running guest",
            where="/proc/*/comm",
            found="no QEMU process",
            expected="a guest in libvirt",
            remedy=UP,
            why="its ports are disconnected: what is sent to it is lost",
        )
        for guest in target.plan.guests
        if guest.name not in servers
    ]
    frozen = {thread.pid for thread in live.threads if thread.stopped}
    problems += [
        _paused(guest, frozen=guest.pid in frozen)
        for guest, _ in _planned(live, target)
        if guest.pid in frozen or (guest.state in STOPPED and guest.reason != "starting up")
    ]
    return judge(problems, counted(len(target.plan.guests), "guest"))


@check("guests.vcpu-placement", Level.PLACED, "vCPUs run on their planned CPUs", MACHINE)
def vcpu_placement(live: Live, target: Target) -> Seen | None:
    """Compare the affinity of vCPU threads with the plan: each alone on a dedicated CPU, or all on the shared pool."""
    guests = {guest.pid: guest for guest in live.guests if guest.ours}
    if not guests:
        return None
    threads = [thread for thread in live.threads if thread.pid in guests and thread.vcpu]
    if unnamed := guests.keys() - {thread.pid for thread in threads}:
        names = ", ".join(guests[pid].name for pid in sorted(unnamed))
        return unknown(f"QEMU does not name the vCPU threads of {names} (debug-threads=on)")
    shared, dedicated = set(target.plan.pools.shared), set(target.plan.pools.dedicated)
    planned = {guest.name: guest for guest in target.plan.guests}
    users = Counter(thread.cpus[0] for thread in threads if len(thread.cpus) == 1)

    def placed(thread: Thread) -> bool:
        plan = planned.get(guests[thread.pid].server)
        alone = len(thread.cpus) == 1 and thread.cpus[0] in dedicated and users[thread.cpus[0]] == 1
        floating = bool(thread.cpus) and set(thread.cpus) <= shared
        return alone or floating if plan is None else alone if plan.pinned else floating

    misplaced = [thread for thread in threads if not placed(thread)]
    if not misplaced:
        return ok(counted(len(threads), "vCPU"))
    return error(
        "vCPUs are not on their planned CPUs",
        where=TASKS,
        found="; ".join(f"{guests[one.pid].name} {one.name}: {format_cpus(one.cpus)}" for one in misplaced[:6]),
        expected=f"pinned: one CPU of {format_cpus(dedicated) or 'none'} each; floating: within {format_cpus(shared)}",
        remedy=f"ouchi openstack server reboot --hard SERVER, or: {UP}",
        why=STEAL,
    )


@check("guests.emulator-placement", Level.PLACED, "emulator threads run on the shared pool", MACHINE)
def emulator_placement(live: Live, target: Target) -> Seen | None:
    """Look for QEMU's emulator threads that may run outside the shared pool."""
    guests = {guest.pid: guest for guest in live.guests if guest.ours}
    if not guests:
        return None
    shared = set(target.plan.pools.shared)
    misplaced = [
        thread
        for thread in live.threads
        if thread.pid in guests
        and not thread.vcpu
        and not thread.name.startswith(IGNORED)
        and set(thread.cpus) - shared
    ]
    if not misplaced:
        return ok(f"within {format_cpus(shared)}")
    return error(
        "emulator threads may run outside the shared pool",
        where=TASKS,
        found="; ".join(f"{guests[one.pid].name} {one.name}: {format_cpus(one.cpus)}" for one in misplaced[:6]),
        expected=f"within {format_cpus(shared)}",
        remedy="hw:emulator_threads_policy=share in the flavor, as ouchi up makes it; then reboot the server hard",
        why=STEAL,
    )


@check("guests.memory", Level.PLACED, "guests' memory is on hugepages", MACHINE)
def memory(live: Live, target: Target) -> Observation | None:
    """Compare the hugepages that each guest's QEMU has mapped with the memory of its server."""
    guests = list(_planned(live, target))
    if not guests:
        return None
    if any(guest.hugepages_mib is None for guest, _ in guests):
        return unknown(ONLY_ROOT if not live.root else "/proc/PID/smaps cannot be read")
    problems = [
        error(
            f"memory of the guest {guest.name} is not on hugepages",
            where=f"/proc/{guest.pid}/smaps",
            found=f"{guest.hugepages_mib} MiB on hugepages",
            expected=f"at least {plan.memory_mib} MiB",
            remedy=f"hw:mem_page_size in the flavor, as ouchi up makes it; then: {UP}",
            why="OVS-DPDK cannot share memory with the guest: it has no network",
        )
        for guest, plan in guests
        if (guest.hugepages_mib or 0) < plan.memory_mib
    ]
    return judge(problems, ", ".join(f"{guest.name} {guest.hugepages_mib} MiB" for guest, _ in guests))


@check(
    "guests.interfaces", Level.PLACED, "guests' interfaces are vhost-user ports with enabled Rx queues", MACHINE, SWITCH
)
@answered("tables", "queues", daemon=True)
def interfaces(live: Live, target: Target) -> Observation | None:
    """Look at each guest's interfaces: vhost-user ports in Open vSwitch, with an Rx queue that the guest has enabled."""
    guests = list(_planned(live, target))
    if not guests:
        return None
    listed = {queue.port for queue in live.switch.queues}
    enabled = {queue.port for queue in live.switch.queues if queue.enabled}
    ports = {port.options.get("vhost-server-path", ""): port for port in live.switch.ports}
    problems = []
    for guest, _plan in guests:
        seen = [kind for kind in guest.interfaces if kind != VHOST_USER]
        for socket in guest.sockets:
            port = ports.get(socket)
            if port is None:
                seen.append(f"{socket}: no port in OVS")
            elif port.kind != "dpdkvhostuserclient":
                seen.append(f"{port.name}: {port.kind}")
            elif port.name in listed - enabled:  # one that is not listed is a finding of ovs.queues-polled
                seen.append(f"{port.name}: no Rx queue is enabled by the guest")
        if seen or not guest.sockets:
            problems.append(
                error(
                    f"interfaces of the guest {guest.name} do not work",
                    where="ovs-appctl dpif-netdev/pmd-rxq-show",
                    found="; ".join(seen) or "no vhost-user interface",
                    expected="dpdkvhostuserclient, with an Rx queue that the guest has enabled",
                    remedy=f"ouchi console {guest.name}; ouchi logs ovs-vswitchd",
                    why="packets for the guest are dropped, and its own are not forwarded",
                )
            )
    return judge(problems, counted(sum(len(guest.sockets) for guest, _ in guests), "interface"))


def _paused(guest: Guest, *, frozen: bool) -> Finding:
    """``frozen``: a signal or a debugger has stopped QEMU itself."""
    if frozen:
        remedy = f"kill -CONT {guest.pid}"
    elif guest.reason == "ioerror":
        remedy = f"space for its disk (df), then: ouchi openstack server reboot --hard {guest.name}"
    else:
        remedy = f"ouchi openstack server unpause {guest.name}; else: ouchi openstack server reboot --hard {guest.name}"
    return error(
        f"the guest {guest.name} does not run",
        where=f"/proc/{guest.pid}/status" if frozen else f"virsh domstate --reason {guest.domain}",
        found="QEMU is stopped (State: T)" if frozen else f"{guest.state} ({guest.reason or 'no reason'})",
        expected="running",
        remedy=remedy,
        why="its vCPUs empty no ring: what is sent to it is lost as soon as the rings are full",
    )


def _planned(live: Live, target: Target) -> Iterator[tuple[Guest, GuestPlan]]:
    """Yield the guests of the site's servers, each with its plan."""
    planned = {guest.name: guest for guest in target.plan.guests}
    for guest in live.guests:
        if guest.ours and guest.server in planned:
            yield guest, planned[guest.server]
