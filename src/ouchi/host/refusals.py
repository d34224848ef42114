"""Refusals: changes that ``apply`` does not make, and why; all of them, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, error
from ouchi.host import boot, commit_confirm, nics
from ouchi.host.survey import Survey
from ouchi.plan.target import Target
from ouchi.plan.values import cpus_text


def refusals(target: Target, survey: Survey) -> list[Finding]:
    """Find them in the survey; reads nothing else."""
    return [
        *_system(target, survey),
        *boot.contradictions(target, survey),
        *nics.conflicts(target, survey),
        *_session(target, survey),
    ]


def _system(target: Target, survey: Survey) -> Iterator[Finding]:
    if f"{commit_confirm.UNIT}.service" in survey.active:
        yield commit_confirm.busy()
    if target.facts.system.pid1 != "systemd":
        yield error(
            "systemd is not process 1",
            where="/proc/1/comm",
            expected="systemd as process 1, which keeps most of the changes across reboots",
            remedy="ouchi render writes the same configuration as files",
        )
    if survey.read_only:
        yield error(
            "folders that must change are read-only",
            where=", ".join(survey.read_only),
            expected="folders that root can write",
            remedy="mount -o remount,rw the file system (dmesg says why it is not), then: ouchi apply",
        )
    missing = boot.missing(target.plan.kernel_args, target.facts.boot.parameters)
    if missing and not survey.loader:
        yield error(
            "no supported boot loader",
            found="neither /etc/default/grub with update-grub nor entries of systemd-boot",
            expected=f"one that boots the kernel with: {' '.join(missing)}",
            remedy="add these kernel parameters yourself, reboot, then: ouchi apply",
        )


def _session(target: Target, survey: Survey) -> Iterator[Finding]:
    """A session that may run on isolated CPUs only would compete with the PMD threads."""
    if not survey.allowed or survey.allowed - set(target.plan.isolated):
        return
    yield error(
        "your session runs only on CPUs that would be isolated",
        where="/proc/self/status",
        found=f"CPUs {format_cpus(survey.allowed)}",
        expected=f"a session that may run on the host's CPUs, {cpus_text(target.plan.pools.host)}",
        remedy="run ouchi from a session without such a limit (taskset -p shows it)",
    )
