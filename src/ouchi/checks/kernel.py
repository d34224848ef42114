"""The kernel's command line: what keeps Linux's own work off the CPUs of polling threads and pinned vCPUs."""

from __future__ import annotations

from ouchi.checks.remedies import APPLY_RESTART, RESTART
from ouchi.checks.values import Answer, Check, holds, judged, named, unknown, wrong
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, warning
from ouchi.live.cmdline import cpus_in, isolated_in, key_of, parts_of, value_of
from ouchi.live.host import MACHINE, Live
from ouchi.plan.target import Target

CMDLINE = "/proc/cmdline"
ISOLATED = "/sys/devices/system/cpu/isolated"
NOHZ_FULL = "/sys/devices/system/cpu/nohz_full"

STOPPED = (
    "while another program runs on its CPU a polling thread takes no packets: a ring of 2048 is full after 0.14 ms at "
    "14.88 Mpps"
)
"""2048 descriptors / 14.88 Mpps (64-byte frames at 10 Gbit/s)."""

CROWDED = "on isolated CPUs threads stay where they began: they crowd on one of them while the others idle"
TICKS = "the scheduler's tick stops a polling thread or a vCPU up to a thousand times a second, a few µs each"
WORDS = {
    "rcu_nocbs": "the kernel's deferred work (RCU callbacks) runs on those CPUs, between packets",
    "irqaffinity": "interrupts of devices that appear later may go to those CPUs",
    "iommu": "vfio-pci needs the IOMMU; without iommu=pt the kernel's own devices pay for it as well",
    "intel_iommu": "vfio-pci needs the IOMMU, and Intel's is off without this word",
}

_PAGES = ("default_hugepagesz", "hugepagesz", "hugepages")
_OWN = ("isolcpus", "nohz_full")


def isolation(live: Live, target: Target) -> Answer | None:
    """The CPUs that the scheduler really leaves alone: those of the plan, and no others that must share their work."""
    planned, pools = set(target.plan.isolated), target.plan.pools
    if not planned:
        return None
    found = set(live.isolated)
    troubles = []
    if missing := planned - found:
        claim = f"Linux may run anything on {named(missing)} of polling threads and pinned vCPUs"
        troubles.append(_isolated(live, target, claim, STOPPED))
    if crowded := found & {*pools.host, *pools.shared}:
        claim = f"Linux does not share work out over {named(crowded)} of the host and of unpinned vCPUs"
        troubles.append(_isolated(live, target, claim, CROWDED))
    return judged(troubles, format_cpus(found))


def tick(live: Live, target: Target) -> Answer | None:
    """The CPUs on which the scheduler's tick stops while one thread runs."""
    planned = target.plan.isolated
    if not planned:
        return None
    missing = set(planned) - set(live.nohz_full)
    if not missing:
        return holds(format_cpus(live.nohz_full))
    said = value_of(target.facts.boot.parameters, "nohz_full")
    ignored = said is not None and not live.nohz_full
    return wrong(
        warning(
            "the kernel ignores nohz_full on its command line"
            if ignored
            else f"the scheduler's tick goes on on {named(missing)}",
            where=NOHZ_FULL,
            found=format_cpus(live.nohz_full) or "no CPU without tick",
            expected=format_cpus(planned),
            remedy="a kernel with CONFIG_NO_HZ_FULL" if ignored else _remedy(live, target),
            why=TICKS,
        )
    )


def words(live: Live, target: Target) -> Answer | None:
    """The plan's other words; hugepages are memory's matter."""
    planned = [word for word in target.plan.kernel_args if key_of(word) not in (*_OWN, *_PAGES)]
    if not planned:
        return None
    found = target.facts.boot.parameters
    missing = [word for word in planned if not _said(word, target)]
    if not missing:
        return holds(" ".join(planned))
    return wrong(
        warning(
            f"words of the plan are missing from the kernel's command line: {' '.join(missing)}",
            where=CMDLINE,
            found=" ".join(word for word in found if key_of(word) in {key_of(one) for one in missing})
            or "none of them",
            expected=" ".join(planned),
            remedy=_remedy(live, target),
            why="; ".join(dict.fromkeys(WORDS[key_of(word)] for word in missing if key_of(word) in WORDS)),
        )
    )


def restart(live: Live, target: Target) -> Answer | None:
    """Whether the boot loader already has what the running kernel was not started with."""
    missing = _missing(target)
    if not missing:
        return None if not target.plan.isolated else holds("the running kernel has every word of the plan")
    if live.grub is None:
        return unknown(
            "no /boot/grub/grub.cfg" if live.root else "only root may read /boot/grub/grub.cfg: sudo ouchi doctor"
        )
    if not set(missing) <= live.grub:
        return holds("the boot loader has nothing that the running kernel has not")
    return wrong(
        warning(
            "the machine has not been restarted since its command line was changed",
            where="/boot/grub/grub.cfg",
            found=f"the running kernel was started without {' '.join(missing)}",
            expected="a kernel that was started with the command line of the boot loader",
            remedy=RESTART,
            why=STOPPED,
        )
    )


CHECKS = (
    Check("kernel", "the scheduler leaves the isolated CPUs alone", isolation, (MACHINE,)),
    Check("kernel", "the tick stops on the isolated CPUs", tick, (MACHINE,)),
    Check("kernel", "the command line has the words of the plan", words, (MACHINE,)),
    Check("kernel", "no restart is pending", restart, (MACHINE,)),
)


def _isolated(live: Live, target: Target, claim: str, why: str) -> Finding:
    return warning(
        claim,
        where=ISOLATED,
        found=format_cpus(live.isolated) or "no CPU is isolated",
        expected=format_cpus(target.plan.isolated),
        remedy=_remedy(live, target),
        why=why,
    )


def _missing(target: Target) -> list[str]:
    """The words of the plan that the running kernel was not started with, those for hugepages left out."""
    return [word for word in target.plan.kernel_args if key_of(word) not in _PAGES and not _said(word, target)]


def _remedy(live: Live, target: Target) -> str:
    missing = _missing(target)
    return RESTART if missing and live.grub is not None and set(missing) <= live.grub else APPLY_RESTART


def _said(word: str, target: Target) -> bool:
    """Whether the running kernel was started with a word of the plan, or with others that come to the same."""
    found, quiet = target.facts.boot.parameters, set(target.plan.isolated)
    last = max(cpu.id for cpu in target.facts.cpus)
    key = key_of(word)
    value = value_of(found, key)
    match key:
        case "isolcpus":
            return quiet <= isolated_in(value or "", last)
        case "nohz_full":
            return quiet <= cpus_in(value or "", last)
        case "rcu_nocbs":  # what has no tick has no callbacks either
            return any(quiet <= cpus_in(value_of(found, one) or "", last) for one in (key, "nohz_full"))
        case "irqaffinity":  # which of the others the interrupts go to is not its matter
            return bool(cpus := cpus_in(value or "", last)) and not quiet & cpus
        case "iommu":
            return word in found or "pt" in parts_of(found, key) or "iommu.passthrough=1" in found
        case "intel_iommu":  # kernels that are built so switch it on by themselves
            return target.facts.boot.iommu or "on" in parts_of(found, key)
    return word in found
