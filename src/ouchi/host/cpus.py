"""CPUs: where services begin, where interrupts go, and at which frequency polling threads and vCPUs run."""

from __future__ import annotations

from ouchi.host.step import Step
from ouchi.host.survey import Surroundings
from ouchi.plan.style import Style
from ouchi.plan.target import Target
from ouchi.render.files import Rendered, text_file
from ouchi.render.irqbalance import irqbalance
from ouchi.render.systemd import manager, modules
from ouchi.render.tuned import FOLDER, PROFILE
from ouchi.render.tuned import tuned as profile
from ouchi.steps import Change, tuned
from ouchi.steps import file as path
from ouchi.steps import sysfs as value

GOVERNOR = "etc/tmpfiles.d/91-ouchi-governor.conf"


def cpu_steps(target: Target, around: Surroundings) -> tuple[Step, ...]:
    """Each as far as the host has the service; nothing is installed for it."""
    steps = [Step("modules", "the drivers that DPDK's cards are bound to", files(modules(target), "modules"))]
    if not target.isolated_cpus:
        return tuple(steps)
    why = "services begin on the host's CPUs and not beside polling threads"
    steps.append(Step("services", why, files(manager(target), "systemd")))
    if "irqbalance.service" in around.units:
        why = "an interrupt on a polling CPU delays what is polled there"
        changes = tuple(change for one in irqbalance(target) for change in files(one, "systemd", "irqbalance"))
        steps.append(Step("irqbalance", why, changes))
    if "tuned.service" in around.active:
        why = "tuned is active: its profile must know which CPUs are quiet"
        folder = around.tuned.removeprefix("/") or FOLDER
        changes = tuple(change for one in profile(target, folder) for change in files(one, "tuned"))
        steps.append(Step("tuned", why, (*changes, tuned.profile(PROFILE))))
    elif target.plan.name != Style.POWER.value and (cpus := sorted(set(target.isolated_cpus) & around.governors)):
        why = "a CPU that lowers its frequency while it waits is slow when packets come"
        steps.append(Step("governor", why, _governor(target, cpus)))
    return tuple(steps)


def files(rendered: Rendered, *then: str) -> tuple[Change, ...]:
    """A rendered file with the folder that it may need."""
    place = f"/{rendered.path}"
    return (path.folder(place.rpartition("/")[0]), path.file(place, rendered.text, *then, mode=rendered.mode))


def _governor(target: Target, cpus: list[int]) -> tuple[Change, ...]:
    paths = [f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor" for cpu in cpus]
    # "w" writes at every boot and passes over what is not there (tmpfiles.d(5)).
    lines = [f"w {place} - - - - performance" for place in paths]
    kept = text_file(target, GOVERNOR, lines, "The frequency of polling threads' and pinned vCPUs' CPUs.")
    return (*files(kept), *(value.value(place, "performance") for place in paths))
