"""What ``apply`` does not do, said before anything is changed, all of it at once."""

from __future__ import annotations

import difflib

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, error
from ouchi.facts.boot import NONE_SHOWN
from ouchi.host import boot, guard
from ouchi.host import nics as cards
from ouchi.host.survey import Surroundings
from ouchi.machine import Machine
from ouchi.plan.target import Target
from ouchi.plan.values import cpus_text


def refusals(target: Target, around: Surroundings) -> list[Finding]:
    """From what was read; nothing more is asked."""
    return [
        *_system(target, around),
        *boot.contradictions(target, around),
        *cards.in_the_way(target, around),
        *_iommu(target),
        *_session(target, around),
    ]


def _system(target: Target, around: Surroundings) -> list[Finding]:
    found = []
    if f"{guard.UNIT}.service" in around.active:
        found.append(guard.busy())
    if not around.systemd:
        found.append(
            error(
                "systemd does not run this machine",
                where="/proc/1/comm",
                expected="systemd as process 1: most of what a plan asks of a machine is its to keep",
                remedy="ouchi render writes the same as files for you to place",
            )
        )
    if around.read_only:
        found.append(
            error(
                "folders that must change are read-only",
                where=", ".join(around.read_only),
                expected="folders that root can write",
                remedy="mount -o remount,rw the file system (dmesg says why it is not), then: ouchi apply",
            )
        )
    missing = boot.missing(target.plan.kernel_args, target.facts.boot.parameters)
    if missing and not around.loader:
        found.append(
            error(
                "no boot loader that ouchi knows",
                found="neither /etc/default/grub with update-grub nor entries of systemd-boot",
                expected=f"one that starts the kernel with: {' '.join(missing)}",
                remedy="add these words to the kernel's command line your way, restart, then: ouchi apply",
            )
        )
    return found


def _iommu(target: Target) -> list[Finding]:
    """An IOMMU that no restart will bring."""
    facts = target.facts.boot
    asked = not boot.missing([word for word in target.plan.kernel_args if "iommu" in word], facts.parameters)
    if facts.iommu or not (cards.to_bind(target) or target.sriov_nics):
        return []
    if NONE_SHOWN not in facts.iommu_reason and not asked:
        return []
    return [
        error(
            "there is no IOMMU, which vfio-pci needs",
            where="/sys/class/iommu",
            found=facts.iommu_reason,
            expected="VT-d, AMD-Vi or IOMMU switched on in the firmware's setup (in a virtual machine: by its host)",
            remedy="switch it on, then: ouchi apply",
        )
    ]


def _session(target: Target, around: Surroundings) -> list[Finding]:
    """A session that may run on quiet CPUs only would be alone with the polling threads."""
    if not around.allowed or around.allowed - set(target.plan.isolated):
        return []
    return [
        error(
            "your session runs only on CPUs that would be isolated",
            where="/proc/self/status",
            found=f"CPUs {format_cpus(around.allowed)}",
            expected=f"a session that may run on the host's CPUs, {cpus_text(target.plan.pools.host)}",
            remedy="run ouchi from a session without such a limit (taskset -p says whose it is)",
        )
    ]


def grub_edited(machine: Machine) -> list[Finding]:
    """Lines that somebody wrote into grub.cfg by hand, or changes that update-grub has not been run for.

    update-grub would undo the one and bring about the other; both are the user's to decide.
    """
    path = "/boot/grub/grub.cfg"
    made = machine.run(("grub-mkconfig",), timeout=300).stdout
    there = machine.read(path) if machine.exists(path) else ""
    lines = difflib.unified_diff(there.splitlines(), made.splitlines(), lineterm="", n=0)
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---") and line[1:].strip()]
    if not changed:
        return []
    shown = [line[:160] for line in changed[:6]]
    return [
        error(
            "update-grub would change more than the plan asks for",
            where=path,
            found=" | ".join(shown) + (f" and {len(changed) - 6} more lines" if len(changed) > 6 else ""),
            expected="the file as update-grub writes it from /etc/default/grub",
            remedy="keep edits of yours in /etc/default/grub or /etc/grub.d, run update-grub, then: ouchi apply",
        )
    ]
