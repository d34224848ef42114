"""``other_config`` of Open vSwitch: the plan's keys, and none that loses packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ouchi.checks.model import Fix, Level, Observation, Problem, check, judge
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import UP, configuring, fix_then, vsctl
from ouchi.core.errors import Finding, error, info, warning
from ouchi.facts.reading import whole
from ouchi.facts.verdict import OVS
from ouchi.live.host import SWITCH, Live
from ouchi.live.ovs import OURS, Switch
from ouchi.plan.target import Target
from ouchi.plan.values import counted, mask
from ouchi.steps import ovsdb

AT_RUN_TIME = frozenset(
    (
        "pmd-cpu-mask",
        "pmd-rxq-assign",
        "pmd-rxq-isolate",
        "pmd-maxsleep",
        "pmd-sleep-max",
        "pmd-auto-lb",
        "tx-flush-interval",
        "max-idle",
        "flow-limit",
        "emc-insert-inv-prob",
    )
)
"""Keys that ovs-vswitchd applies while it runs; the others take effect when it is restarted."""


@dataclass(frozen=True, slots=True)
class Harmful:
    """A key that the plan never sets, when its value loses packets, and why. The source is vswitchd/vswitch.xml.

    ``severity`` is :func:`~ouchi.core.errors.info` where it costs cycles only.
    """

    loses: Callable[[str, Live, Target], bool]
    why: str
    severity: Callable[..., Finding] = warning


def _not_false(value: str, _live: Live, _target: Target) -> bool:
    return value != "false"


def _other_than_memory_needs(value: str, _live: Live, target: Target) -> bool:
    """Where CPU 0's node has no memory, the mask of the CPUs of nodes with some is what makes DPDK start."""
    needed = target.switch_cpus != target.plan.pools.host
    return value != "false" and not (needed and _mask_number(value) == _mask_number(mask(target.switch_cpus)))


def _mask_number(text: str) -> int:
    """The number of a CPU mask in hexadecimal, with or without ``0x``; -1 where it is none."""
    try:
        return int(text, 16)
    except ValueError:
        return -1


def _below(default: int) -> Callable[[str, Live, Target], bool]:
    return lambda value, _live, _target: 0 <= whole(value, default) < default


def _sleeps(value: str, _live: Live, _target: Target) -> bool:
    """``pmd-sleep-max`` may name nodes: ``0:50,1:0``."""
    return any(whole(part.rpartition(":")[2], 0) > 0 for part in value.split(","))


def _caps(value: str, _live: Live, target: Target) -> bool:
    """Whether a node's limit is below the memory that the plan has for it; 0 is no limit."""
    limits = [whole(part, 0) for part in value.split(",")]
    planned = [whole(part, 0) for part in target.plan.ovs_other_config.get("dpdk-socket-mem", "").split(",")]
    return any(0 < limit < need for limit, need in zip(limits, planned, strict=False))


def _offloads_nothing(value: str, _live: Live, target: Target) -> bool:
    """Whether no NIC of the plan is among those with which Open vSwitch's flow offload was validated (phy.rst)."""
    drivers = {nic.dpdk.kmod for nic in target.plan.nics if nic.role == OVS}
    return value != "false" and "mlx5_core" not in drivers


_SLEEP = "an idle PMD thread sleeps: what arrives meanwhile waits in the ring, and a burst overflows it"

HARMFUL = {
    "dpdk-lcore-mask": Harmful(
        _other_than_memory_needs,
        "it puts every handler and revalidator on one CPU: new flows are lost while they wait for it",
    ),
    "dpdk-socket-limit": Harmful(
        _caps, "DPDK may not take the planned memory: ports fail, or share a mempool of half as many mbufs"
    ),
    "userspace-tso-enable": Harmful(
        _not_false,
        "segmentation offload in userspace is experimental; frames that the other side cannot receive are dropped, and "
        "counted in ovs_tx_invalid_hwol_drops and coverage counters only (netdev_send_prepare_drops, since 3.3 "
        "netdev_soft_seg_drops)",
    ),
    "hw-offload": Harmful(
        _offloads_nothing,
        "flow offload is experimental and validated with few NICs, of which the plan has none: each flow is offered to a "
        "driver that refuses it",
    ),
    "pmd-maxsleep": Harmful(_sleeps, _SLEEP),
    "pmd-sleep-max": Harmful(_sleeps, _SLEEP),
    "tx-flush-interval": Harmful(
        lambda value, _live, _target: whole(value, 0) > 0,
        "packets wait that many microseconds before they are sent, and then leave as a burst that a guest's ring must hold",
    ),
    "max-idle": Harmful(
        _below(10_000),
        "flows that are used seldom expire sooner: their next packet goes through the slow path, which is where bursts of "
        "new flows are lost",
    ),
    "flow-limit": Harmful(
        _below(200_000), "with more flows than that every packet of the others goes through the slow path"
    ),
    "emc-insert-inv-prob": Harmful(
        lambda value, live, _target: whole(value, 1) == 0 and live.switch.other_config.get("smc-enable") != "true",
        "nothing is inserted into the exact match cache: every packet costs a look-up in the classifier",
        severity=info,
    ),
}
"""Keys that are in no plan, or not with this value, and lose packets or hide where they are lost."""

REASONS = {
    "pmd-cpu-mask": "PMD threads on other CPUs than planned compete with the host's or the guests' threads",
    "dpdk-socket-mem": "it is what DPDK takes when it starts; more it takes from the hugepages that are free then, if any",
    "per-port-memory": "the planned memory does not fit the other memory model",
    "dpdk-extra": "without an allow list DPDK takes every NIC that it supports, the management NIC among them",
    "dpdk-init": "without DPDK there are no PMD threads",
    "pmd-rxq-isolate": "a PMD thread with pinned Rx queues polls no other: guests' Rx queues are left unpolled",
}


@check("ovs.settings", Level.PLACED, "other_config has the plan's keys", SWITCH)
@answered("tables")
def settings(live: Live, target: Target) -> Observation | None:
    """Compare ``other_config`` with the plan."""
    switch = live.switch
    planned = target.plan.ovs_other_config
    differing = {key: value for key, value in planned.items() if not _equal(key, switch.other_config.get(key), value)}
    return judge([_setting(switch, key, value) for key, value in differing.items()], counted(len(planned), "key"))


@check("ovs.harmful-settings", Level.LOSS, "no other key of other_config loses packets", SWITCH)
@answered("tables")
def harmful_settings(live: Live, target: Target) -> Observation | None:
    """Look for keys that are in no plan and lose packets."""
    switch = live.switch
    planned = target.plan.ovs_other_config
    problems = [
        HARMFUL[key].severity(
            f"Open vSwitch has {key}={value}, which is not in the plan",
            where=f"ovs-vsctl get Open_vSwitch . other_config:{key}",
            found=value,
            expected="not set",
            remedy=f"{vsctl(switch)} remove Open_vSwitch . other_config {key}"
            + ("" if key in AT_RUN_TIME else ", then restart ovs-vswitchd"),
            why=HARMFUL[key].why,
        )
        for key, value in switch.other_config.items()
        if key in HARMFUL and key not in planned and HARMFUL[key].loses(value, live, target)
    ]
    return judge(problems, "")


def _equal(key: str, found: str | None, planned: str) -> bool:
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


def _setting(switch: Switch, key: str, planned: str) -> Problem:
    # The distribution's database keeps what is set in it: that is for apply, which journals the value before.
    fixable = key in AT_RUN_TIME and switch.whose == OURS
    finding = error(
        f"Open vSwitch has another {key} than planned",
        where=f"ovs-vsctl get Open_vSwitch . other_config:{key}",
        found=switch.other_config.get(key, "not set"),
        expected=planned,
        remedy=fix_then(UP) if fixable else f"{configuring(switch)}, which restarts ovs-vswitchd",
        why=REASONS.get(key, "the plan's memory and CPUs were computed with it"),
    )
    change = ovsdb.setting("other_config", key, planned, socket=f"{switch.run}/db.sock")
    return Problem(finding, Fix(f"{key}={planned}", (change,)) if fixable else None)
