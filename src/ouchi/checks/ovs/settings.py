"""``other_config`` of Open vSwitch: the plan's keys, and none that loses packets."""

from __future__ import annotations

from ouchi.checks.model import Fix, Level, Observation, Problem, check, judge
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import UP, configuring, fix_then, vsctl
from ouchi.core.errors import error, warning
from ouchi.live.host import SWITCH, Live
from ouchi.live.ovs import OURS, Switch
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.steps import ovsdb

AT_RUN_TIME = frozenset(
    ("pmd-cpu-mask", "pmd-rxq-assign", "pmd-rxq-isolate", "pmd-maxsleep", "pmd-sleep-max", "pmd-auto-lb")
)
"""Keys that ovs-vswitchd applies while it runs; the others take effect when it is restarted."""

HARMFUL = {
    "dpdk-lcore-mask": "it puts every handler and revalidator on one CPU: new flows are lost while they wait for it",
    "userspace-tso-enable": "segmentation offload in userspace is experimental; frames that the other side cannot "
    "receive are dropped without a counter of their own",
    "hw-offload": "flows offloaded to the NIC bypass the counters by which losses are located",
}
"""Keys that the plan never sets and that lose packets, or hide where they are lost."""

REASONS = {
    "pmd-cpu-mask": "PMD threads on other CPUs than planned compete with the host's or the guests' threads",
    "dpdk-socket-mem": "with less memory OVS allocates half as many mbufs, without an error",
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
def harmful_settings(live: Live, _target: Target) -> Observation | None:
    """Look for keys that are in no plan and lose packets."""
    switch = live.switch
    found = {key: value for key, value in switch.other_config.items() if key in HARMFUL and value != "false"}
    problems = [
        warning(
            f"Open vSwitch has {key}={value}, which is not in the plan",
            where=f"ovs-vsctl get Open_vSwitch . other_config:{key}",
            found=value,
            expected="not set",
            remedy=f"{vsctl(switch)} remove Open_vSwitch . other_config {key}, then restart ovs-vswitchd",
            why=HARMFUL[key],
        )
        for key, value in found.items()
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
