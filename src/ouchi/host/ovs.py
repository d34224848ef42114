"""The distribution's Open vSwitch, where it is in use: the program with DPDK, and the planned ``other_config``."""

from __future__ import annotations

from ouchi.host.cpus import files
from ouchi.host.step import Step
from ouchi.host.survey import Survey
from ouchi.plan.target import VHOST, Target
from ouchi.render.ovs import SWITCH
from ouchi.render.systemd import sockets, switch
from ouchi.steps import Change, alternative, ovsdb
from ouchi.steps import file as path

UNITS = ("ovs-vswitchd.service", "openvswitch-switch.service")


def ovs_steps(target: Target, survey: Survey) -> tuple[Step, ...]:
    """No step for Open vSwitch where it is not enabled: ``up`` runs its own."""
    steps = []
    if survey.qemu:
        why = "QEMU makes the vhost-user sockets, Open vSwitch connects to them"
        steps.append(Step("sockets", why, (*files(sockets(target)), path.folder(VHOST, owner=f"{survey.qemu}:0"))))
    if not in_use(survey):
        return tuple(steps)
    changes: tuple[Change, ...] = ()
    if target.isolated_cpus:
        changes += files(switch(target), "systemd", "ovs-vswitchd")
    if SWITCH in survey.programs:
        changes += (alternative.alternative("ovs-vswitchd", SWITCH, "ovs-vswitchd"),)
    changes += tuple(
        ovsdb.setting("other_config", key, text, "ovs-vswitchd") for key, text in target.plan.ovs_other_config.items()
    )
    why = "PMD threads, hugepages and NICs as planned; DPDK reads them when ovs-vswitchd starts"
    steps.append(Step("open vswitch", why, changes, booted=True, cuts=True))
    return tuple(steps)


def in_use(survey: Survey) -> bool:
    """Return whether the distribution's Open vSwitch starts at boot."""
    return any(survey.units.get(unit, "") in ("enabled", "static") for unit in UNITS) and any(
        unit in survey.active for unit in UNITS
    )
