"""The kernel's command line: what keeps Linux's own work off the CPUs of polling threads and pinned vCPUs."""

from __future__ import annotations

from collections.abc import Iterable

from ouchi.cpulist import format_cpus
from ouchi.doctor.live import MACHINE, Live
from ouchi.doctor.remedies import APPLY_RESTART, RESTART
from ouchi.doctor.values import Answer, Check, holds, named, unknown, wrong
from ouchi.errors import warning
from ouchi.facts.reading import cpus_of
from ouchi.wanted import Wanted

CMDLINE = "/proc/cmdline"
ISOLATED = "/sys/devices/system/cpu/isolated"
NOHZ_FULL = "/sys/devices/system/cpu/nohz_full"

STOPPED = (
    "while another program runs on its CPU a polling thread takes no packets: a ring of 2048 is full after 0.14 ms at "
    "14.88 Mpps"
)
"""2048 descriptors / 14.88 Mpps (64-byte frames at 10 Gbit/s)."""

TICKS = "the scheduler's tick stops a polling thread or a vCPU up to a thousand times a second, a few µs each"
WORDS = {
    "rcu_nocbs": "the kernel's deferred work (RCU callbacks) runs on those CPUs, between packets",
    "irqaffinity": "interrupts of devices that appear later may go to those CPUs",
    "iommu": "vfio-pci needs the IOMMU; without iommu=pt the kernel's own devices pay for it as well",
    "intel_iommu": "vfio-pci needs the IOMMU, and Intel's is off without this word",
}

_PAGES = ("default_hugepagesz", "hugepagesz", "hugepages")
_OWN = ("isolcpus", "nohz_full")
_LISTS = ("rcu_nocbs", "irqaffinity")


def isolation(live: Live, wanted: Wanted) -> Answer | None:
    """The CPUs that the scheduler really leaves alone."""
    planned = wanted.plan.isolated
    if not planned:
        return None
    missing = set(planned) - set(live.isolated)
    if not missing:
        return holds(format_cpus(live.isolated))
    return wrong(
        warning(
            f"Linux may run anything on {named(missing)} of polling threads and pinned vCPUs",
            where=ISOLATED,
            found=format_cpus(live.isolated) or "no CPU is isolated",
            expected=format_cpus(planned),
            remedy=_remedy(live, wanted),
            why=STOPPED,
        )
    )


def tick(live: Live, wanted: Wanted) -> Answer | None:
    """The CPUs on which the scheduler's tick stops while one thread runs."""
    planned = wanted.plan.isolated
    if not planned:
        return None
    missing = set(planned) - set(live.nohz_full)
    if not missing:
        return holds(format_cpus(live.nohz_full))
    said = _word(wanted.facts.boot.parameters, "nohz_full")
    ignored = said is not None and not live.nohz_full
    return wrong(
        warning(
            "the kernel ignores nohz_full on its command line"
            if ignored
            else f"the scheduler's tick goes on on {named(missing)}",
            where=NOHZ_FULL,
            found=format_cpus(live.nohz_full) or "no CPU without tick",
            expected=format_cpus(planned),
            remedy="a kernel with CONFIG_NO_HZ_FULL" if ignored else _remedy(live, wanted),
            why=TICKS,
        )
    )


def words(live: Live, wanted: Wanted) -> Answer | None:
    """The plan's other words; hugepages are memory's matter."""
    planned = [word for word in wanted.plan.kernel_args if _key(word) not in (*_OWN, *_PAGES)]
    if not planned:
        return None
    found = wanted.facts.boot.parameters
    missing = [word for word in planned if not _said(word, found)]
    if not missing:
        return holds(" ".join(planned))
    return wrong(
        warning(
            f"words of the plan are missing from the kernel's command line: {' '.join(missing)}",
            where=CMDLINE,
            found=" ".join(word for word in found if _key(word) in {_key(one) for one in missing}) or "none of them",
            expected=" ".join(planned),
            remedy=_remedy(live, wanted),
            why="; ".join(dict.fromkeys(WORDS[_key(word)] for word in missing if _key(word) in WORDS)),
        )
    )


def restart(live: Live, wanted: Wanted) -> Answer | None:
    """Whether the boot loader already has what the running kernel was not started with."""
    missing = _missing(wanted)
    if not missing:
        return None if not wanted.plan.isolated else holds("the running kernel has every word of the plan")
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


def _missing(wanted: Wanted) -> list[str]:
    """The words of the plan that the running kernel was not started with, those for hugepages left out."""
    found = wanted.facts.boot.parameters
    return [word for word in wanted.plan.kernel_args if _key(word) not in _PAGES and not _said(word, found)]


def _remedy(live: Live, wanted: Wanted) -> str:
    pending = live.grub is not None and set(_missing(wanted)) <= live.grub
    return RESTART if pending and _missing(wanted) else APPLY_RESTART


def _key(word: str) -> str:
    return word.partition("=")[0]


def _word(found: Iterable[str], key: str) -> str | None:
    """The value of a key; of several the last."""
    return next((word.partition("=")[2] for word in reversed(tuple(found)) if _key(word) == key), None)


def _said(word: str, found: tuple[str, ...]) -> bool:
    """Whether the command line says it: lists by their CPUs, and nohz_full takes callbacks away as well."""
    key, _, value = word.partition("=")
    if word in found:
        return True
    if key in (*_OWN, *_LISTS):
        planned = _cpus(value)
        alike = (key, "nohz_full") if key == "rcu_nocbs" else (key,)
        return any(planned <= _cpus(said) for one in alike if (said := _word(found, one)) is not None)
    return False


def _cpus(value: str) -> set[int]:
    """The CPUs of ``domain,managed_irq,1-5``."""
    return set(cpus_of(",".join(part for part in value.split(",") if part[:1].isdigit())))
