"""CPUs: those of services and interrupts, and the frequency governor of those of PMD threads and pinned vCPUs."""

from __future__ import annotations

from ouchi.host.step import Step
from ouchi.host.survey import Survey
from ouchi.plan.target import Target
from ouchi.plan.values import Style
from ouchi.render.files import Rendered, text_file
from ouchi.render.irqbalance import irqbalance
from ouchi.render.systemd import manager, modules
from ouchi.render.tuned import FOLDER, PROFILE
from ouchi.render.tuned import tuned as profile
from ouchi.steps import Change, tuned
from ouchi.steps import file as path
from ouchi.steps import sysfs as value

GOVERNOR = "etc/tmpfiles.d/91-ouchi-governor.conf"


def cpu_steps(target: Target, survey: Survey) -> tuple[Step, ...]:
    """The steps for the services that the host has; none is installed."""
    steps = [Step("modules", "the drivers that the NICs of OVS-DPDK are bound to", files(modules(target), "modules"))]
    if not target.isolated_cpus:
        return tuple(steps)
    why = "services run on housekeeping CPUs, not beside PMD threads"
    steps.append(Step("services", why, files(manager(target), "systemd")))
    if "irqbalance.service" in survey.units:
        why = "an interrupt on the CPU of a PMD thread delays its packets"
        steps.append(Step("irqbalance", why, files(irqbalance(target), "systemd", "irqbalance")))
    if "tuned.service" in survey.active:
        why = "tuned is active: its profile must name the isolated CPUs"
        folder = survey.tuned.removeprefix("/") or FOLDER
        steps.append(Step("tuned", why, (*files(profile(target, folder), "tuned"), tuned.profile(PROFILE))))
    elif target.plan.name != Style.POWER.value and (cpus := sorted(set(target.isolated_cpus) & survey.governors)):
        why = "a CPU that lowers its frequency while it waits is slow when packets arrive"
        steps.append(Step("governor", why, _governor(target, cpus)))
    return tuple(steps)


def files(rendered: Rendered, *then: str) -> tuple[Change, ...]:
    """A rendered file and its folder."""
    location = f"/{rendered.path}"
    return (path.folder(location.rpartition("/")[0]), path.file(location, rendered.text, *then, mode=rendered.mode))


def _governor(target: Target, cpus: list[int]) -> tuple[Change, ...]:
    paths = [f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor" for cpu in cpus]
    # "w" writes at every boot and skips what does not exist (tmpfiles.d(5)).
    lines = [f"w {one} - - - - performance" for one in paths]
    kept = text_file(target, GOVERNOR, lines, "The frequency governor of the CPUs of PMD threads and pinned vCPUs.")
    return (*files(kept), *(value.value(one, "performance") for one in paths))
