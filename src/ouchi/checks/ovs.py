"""Open vSwitch: the daemon with DPDK, its settings, bridges and ports as the plan has them."""

from __future__ import annotations

from ouchi.checks.asking import NOT_RUNNING, asking, running
from ouchi.checks.remedies import LOGS, UP, configuring, fix_then, vsctl
from ouchi.checks.values import Answer, Check, Mend, Trouble, holds, judged, unknown, wrong
from ouchi.core.errors import error, warning
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.ovs import NONE, OURS, Switch
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.render.ovs import SWITCH as BINARY
from ouchi.render.ovs import other_config

AT_RUN_TIME = frozenset(
    ("pmd-cpu-mask", "pmd-rxq-assign", "pmd-rxq-isolate", "pmd-maxsleep", "pmd-sleep-max", "pmd-auto-lb")
)
"""Keys that ovs-vswitchd takes up while it runs; the others count from its next start."""

HARMFUL = {
    "dpdk-lcore-mask": "it puts every handler and revalidator on one CPU: new flows are lost while they wait for it",
    "userspace-tso-enable": "segmentation offload in userspace is experimental; frames that the other side cannot "
    "take are dropped without a counter of their own",
    "hw-offload": "flows in the card's hardware bypass the counters that losses are found by",
}
"""Keys that the plan never sets and that lose packets, or hide where they are lost, when they are ``true`` or set."""

SETTINGS = {
    "pmd-cpu-mask": "polling threads on other CPUs than planned meet the host's or the guests' threads there",
    "dpdk-socket-mem": "with less memory OVS takes half as many packet buffers, without a word",
    "per-port-memory": "with another model of buffers the planned memory does not fit them",
    "dpdk-extra": "without an allow list DPDK takes every card that it knows, your own among them",
    "dpdk-init": "without DPDK there are no polling threads",
    "pmd-rxq-isolate": "a polling thread with pinned queues polls no other: guests' queues are left unpolled",
}

OWN_MODE = 0o2775
"""Of ouchi's own folder for sockets: QEMU makes them there, and OVS agrees with it on the group."""


def daemon(live: Live, _wanted: Target) -> Answer:
    """Whether there is an Open vSwitch to ask."""
    switch = live.switch
    if switch.whose == NONE:
        return unknown("no Open vSwitch runs here, so nothing of it was checked; next: ouchi up")
    if running(live):
        return holds(f"pid {switch.pid}, {'ouchi’s own' if switch.whose == OURS else 'the distribution’s'}")
    return wrong(
        error(
            "ovs-vswitchd does not run",
            where=f"{switch.run}/ovs-vswitchd.pid",
            found=f"no process {switch.pid}" if switch.pid else "no such file",
            expected="a running ovs-vswitchd",
            remedy=f"{UP}; why it ended: {LOGS}" if switch.whose == OURS else "systemctl restart openvswitch-switch",
            why="nobody polls the cards and the guests' rings: every packet is lost, and none is counted",
        )
    )


@asking()
def program(live: Live, _wanted: Target) -> Answer | None:
    """The ovs-vswitchd with DPDK, which Debian and Ubuntu choose by update-alternatives."""
    switch = live.switch
    # Ours is started by its own path, whatever the alternative is.
    ran = switch.program or (switch.alternative if switch.whose != OURS else "")
    if "dpdk" in ran or switch.dpdk_initialized:
        return holds(ran)
    if not ran:
        return unknown("only root sees which program runs: sudo ouchi doctor" if running(live) else NOT_RUNNING)
    return wrong(
        error(
            "the ovs-vswitchd that runs is the one without DPDK",
            where="/usr/sbin/ovs-vswitchd",
            found=ran,
            expected=BINARY,
            remedy=f"update-alternatives --set ovs-vswitchd {BINARY}; systemctl restart ovs-vswitchd",
            why="every packet goes through the kernel then, at a tenth of the rate",
        )
    )


@asking("tables", daemon=True)
def dpdk(live: Live, _wanted: Target) -> Answer | None:
    """Whether DPDK came up inside it."""
    switch = live.switch
    if switch.dpdk_initialized:
        return holds(switch.dpdk_version)
    return wrong(
        error(
            "DPDK is not initialised in Open vSwitch",
            where="ovs-vsctl get Open_vSwitch . dpdk_initialized",
            found=f"false; dpdk-init is {switch.other_config.get('dpdk-init', 'not set')}",
            expected="true",
            remedy=configuring(switch) + (f"; why it failed: {LOGS}" if switch.whose == OURS else ""),
            why="without it there are no polling threads, and no port of a guest works",
        )
    )


@asking("tables")
def settings(live: Live, target: Target) -> Answer | None:
    """The plan's keys of other_config."""
    switch = live.switch
    planned = planned_config(target)
    differing = {key: value for key, value in planned.items() if not _agrees(key, switch.other_config.get(key), value)}
    return judged([_setting(switch, key, value) for key, value in differing.items()], counted(len(planned), "key"))


@asking("tables")
def extras(live: Live, _wanted: Target) -> Answer | None:
    """Keys that nobody planned and that cost packets."""
    switch = live.switch
    found = {key: value for key, value in switch.other_config.items() if key in HARMFUL and value != "false"}
    troubles = [
        warning(
            f"Open vSwitch has {key}={value}, which the plan has not",
            where=f"ovs-vsctl get Open_vSwitch . other_config:{key}",
            found=value,
            expected="not set",
            remedy=f"{vsctl(switch)} remove Open_vSwitch . other_config {key}, then restart ovs-vswitchd",
            why=HARMFUL[key],
        )
        for key, value in found.items()
    ]
    return judged(troubles, "")


@asking("tables")
def bridges(live: Live, target: Target) -> Answer | None:
    """All bridges in the userspace datapath; patch ports join only those of one datapath."""
    switch = live.switch
    needed = ("br-int", *target.bridges.values())
    # The bridges in the distribution's are somebody else's: what is missing there is nobody's plan.
    absent = [name for name in needed if name not in switch.bridges] if switch.whose == OURS else []
    astray = {
        name: kind
        for name, kind in switch.bridges.items()
        if kind != "netdev" and (switch.whose == OURS or name in needed)
    }
    troubles = [
        error(
            f"the bridge {name} is not in the userspace datapath",
            where=f"ovs-vsctl get Bridge {name} datapath_type",
            found=kind or "system",
            expected="netdev",
            remedy=UP if switch.whose == OURS else f"{vsctl(switch)} set Bridge {name} datapath_type=netdev",
            why="packets for it leave the polling threads for the kernel, or are dropped where a patch port "
            "cannot join the two",
        )
        for name, kind in astray.items()
    ]
    if absent:
        troubles.append(
            error(
                f"bridges are missing: {', '.join(absent)}",
                where="ovs-vsctl list-br",
                found=", ".join(switch.bridges) or "no bridge",
                expected=", ".join(needed),
                remedy=UP,
                why="what is to cross them goes nowhere",
            )
        )
    return judged(troubles, ", ".join(switch.bridges))


@asking("tables")
def ports(live: Live, _wanted: Target) -> Answer | None:
    """Ports that ovs-vswitchd could not make, and cards without a link."""
    switch = live.switch
    troubles = [
        error(
            f"Open vSwitch could not make the port {port.name}",
            where=f"ovs-vsctl get Interface {port.name} error",
            found=port.error,
            expected="no error",
            remedy=LOGS if switch.whose == OURS else "journalctl -u ovs-vswitchd",
            why="the port is in the database and nowhere else: what is sent to it is lost",
        )
        for port in switch.ports
        if port.error
    ]
    troubles += [
        warning(
            f"the card behind the port {port.name} has no link",
            where=f"ovs-vsctl get Interface {port.name} link_state",
            found=port.link,
            expected="up",
            remedy="look at the cable and at the other end",
            why="nothing goes in or out there",
        )
        for port in switch.ports
        if port.kind == "dpdk" and not port.error and port.link == "down"
    ]
    return judged(troubles, counted(len(switch.ports), "port"))


@asking()
def sockets(live: Live, _wanted: Target) -> Answer | None:
    """The folder in which QEMU makes the sockets that Open vSwitch connects to."""
    switch = live.switch
    mode = OWN_MODE if switch.whose == OURS else 0o755
    there = bool(switch.sockets_owner)
    found = f"{switch.sockets_owner}, {switch.sockets_mode:o}" if there else "no such folder"
    if switch.sockets_owner == "libvirt-qemu" and switch.sockets_mode & mode == mode:
        return holds(found)
    if switch.without_qemu:
        return holds("no guest of libvirt's can be here")
    finding = error(
        "QEMU cannot make its vhost-user sockets, or Open vSwitch cannot reach them",
        where=switch.sockets,
        found=found,
        expected=f"libvirt-qemu, {mode:o}",
        remedy=fix_then(configuring(switch)) if there else configuring(switch),
        why="a port without its socket stays disconnected: what is sent to the guest is lost and counted nowhere",
    )
    commands = (("chown", "libvirt-qemu", switch.sockets), ("chmod", f"{mode:o}", switch.sockets))
    return wrong(Trouble(finding, Mend(f"{switch.sockets} for libvirt-qemu", commands=commands) if there else None))


CHECKS = (
    Check("ovs", "ovs-vswitchd runs", daemon, (SWITCH, MACHINE)),
    Check("ovs", "ovs-vswitchd is the one with DPDK", program, (SWITCH,)),
    Check("ovs", "DPDK is initialised", dpdk, (SWITCH,)),
    Check("ovs", "Open vSwitch's settings are the plan's", settings, (SWITCH,)),
    Check("ovs", "no other setting loses packets", extras, (SWITCH,)),
    Check("ovs", "bridges are in the userspace datapath", bridges, (SWITCH,)),
    Check("ovs", "every port could be made", ports, (SWITCH,)),
    Check("ovs", "guests' sockets can be made", sockets, (SWITCH,)),
)


def planned_config(target: Target) -> dict[str, str]:
    """The plan's keys, with those that pinned queues need."""
    return other_config(target)


def _agrees(key: str, found: str | None, planned: str) -> bool:
    if found is None:
        return False
    if key == "pmd-cpu-mask":
        return _number(found) == _number(planned)
    if key == "dpdk-extra":
        return set(planned.split()) <= set(found.split())
    return "".join(found.split()) == planned


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return -1


def _setting(switch: Switch, key: str, planned: str) -> Trouble:
    # The distribution's database keeps what is set in it for good: that is for apply, which notes what was there.
    mends = key in AT_RUN_TIME and switch.whose == OURS
    finding = error(
        f"Open vSwitch has another {key} than the plan",
        where=f"ovs-vsctl get Open_vSwitch . other_config:{key}",
        found=switch.other_config.get(key, "not set"),
        expected=planned,
        remedy=fix_then(UP) if mends else f"{configuring(switch)}, which restarts ovs-vswitchd",
        why=SETTINGS.get(key, "the plan's memory and CPUs were counted with it"),
    )
    socket = f"--db=unix:{switch.run}/db.sock"
    command = ("ovs-vsctl", socket, "--timeout=5", "set", "Open_vSwitch", ".", f'other_config:{key}="{planned}"')
    return Trouble(finding, Mend(f"{key}={planned}", commands=(command,)) if mends else None)
