"""vhost-user ports: a guest with a driver at the other end, with as many and as large rings as planned."""

from __future__ import annotations

from ouchi.checks.model import Level, Observation, check, judge
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import UP
from ouchi.core.errors import Finding, info, warning
from ouchi.facts.reading import whole
from ouchi.live.host import MACHINE, SAMPLES, SWITCH, Live
from ouchi.live.ovs import OURS, OvsPort, Switch
from ouchi.plan.target import Target
from ouchi.plan.values import counted

RING = 1024
"""Descriptors of a virtqueue: QEMU's maximum, which the plan's nova.conf has for guests (rx_queue_size)."""


@check(
    "ovs.guest-connections", Level.LOSS, "a guest with a driver is at every vhost-user port", SWITCH, MACHINE, SAMPLES
)
@answered("tables", "datapath", daemon=True)
def guest_connections(live: Live, _target: Target) -> Observation | None:
    """Look for vhost-user ports that have no statistics: Open vSwitch has them while a guest's driver uses the rings.

    The database is late, and pmd-rxq-show has such a port's Rx queue as enabled. QEMU accepts the connection at once,
    long before there is a driver, so that the socket alone proves nothing either; it tells the two findings apart.
    """
    switch = live.switch
    guests = [port for port in switch.ports if port.vhost]
    if not guests:
        return None
    dead = [port for port in guests if not _served(live, port)]
    problems = []
    if alone := [port.name for port in dead if not switch.connected_socket(port)]:
        problems.append(
            _black_hole(
                f"no guest is connected to the ports {', '.join(alone[:8])}",
                found="no connection to the port's socket",
                remedy=f"start the guest, or: {UP}" if switch.whose == OURS else "start the guest, or remove the port",
            )
        )
    if waiting := [port.name for port in dead if switch.connected_socket(port)]:
        problems.append(
            _black_hole(
                f"the guests of the ports {', '.join(waiting[:8])} have no driver",
                found="a connected socket, and no rings: the port has no statistics",
                remedy="wait until the guest has started, then: ouchi doctor; else look at its console and its virtio driver",
            )
        )
    return judge(problems, counted(len(guests), "port"))


def _served(live: Live, port: OvsPort) -> bool:
    """Whether a guest's driver uses the port, by the datapath; by the database for a port that it does not have yet."""
    if counters := live.counters.after.get(port.name):
        return counters.statistics
    return port.status.get("status") == "connected"


def _black_hole(claim: str, found: str, remedy: str) -> Finding:
    return warning(
        claim,
        where="ovs-appctl dpctl/show -s",
        found=found,
        expected="a guest whose driver has started the port's rings",
        remedy=remedy,
        why="such a port is a black hole: what is sent to it is lost, and no counter of OVS shows it",
    )


@check("ovs.virtqueues", Level.LOSS, "guests' rings are as large and as many as can be", SWITCH, MACHINE)
@answered("tables", daemon=True)
def virtqueues(live: Live, _target: Target) -> Observation | None:
    """Look at the size of each vhost-user port's rings, and at their number beside the guest's vCPUs."""
    switch = live.switch
    rings = {port.name: sizes for port in switch.ports if port.vhost and (sizes := _rings(port))}
    if not rings:
        return None
    problems = []
    if small := {name: sizes for name, sizes in rings.items() if min(sizes) < RING}:
        problems.append(
            warning(
                f"rings of the ports {', '.join(list(small)[:8])} have fewer than {RING} descriptors",
                where="ovs-vsctl get Interface PORT status",
                found="; ".join(f"{name}: {min(sizes)}" for name, sizes in list(small.items())[:8]),
                expected=f"{RING}",
                remedy=_larger(switch),
                why="a ring must hold what arrives while the guest's vCPU does not run: at 20,000 pps and a stop of 40 ms, "
                "256 descriptors lost 548 frames, 1024 none",
            )
        )
    problems += _fewer(live, rings)
    return judge(
        problems, f"{counted(len(rings), 'port')} with {min(min(sizes) for sizes in rings.values())} descriptors"
    )


def _rings(port: OvsPort) -> list[int]:
    """Sizes of the rings that a guest has started."""
    return [size for key, value in port.status.items() if key.startswith("vring_") and (size := whole(value, 0))]


def _fewer(live: Live, rings: dict[str, list[int]]) -> list[Finding]:
    """Guests with several vCPUs whose ports all have one queue."""
    names = {port.options.get("vhost-server-path", ""): port.name for port in live.switch.ports}
    found = []
    for guest in live.guests:
        vcpus = sum(thread.pid == guest.pid and thread.vcpu for thread in live.threads)
        ports = [names[socket] for socket in guest.sockets if names.get(socket) in rings]
        single = [name for name in ports if len(rings[name]) // 2 < vcpus]
        if vcpus > 1 and single:
            found.append(
                info(
                    f"the guest {guest.name} has fewer queues than vCPUs at the ports {', '.join(single[:8])}",
                    where="ovs-vsctl get Interface PORT status:num_of_vrings",
                    found="; ".join(f"{name}: {len(rings[name]) // 2}" for name in single[:8]),
                    expected=f"up to {vcpus}, one for each vCPU that receives",
                    remedy="hw:vif_multiqueue_enabled=true in the flavor, and a driver in the guest that enables the queues",
                    why="one vCPU receives everything, and PMD threads contend for the one ring",
                )
            )
    return found


def _larger(switch: Switch) -> str:
    option = "rx_queue_size=1024 and tx_queue_size=1024 of the virtio-net device"
    return f"{UP}, then: ouchi openstack server reboot --hard SERVER" if switch.whose == OURS else option
