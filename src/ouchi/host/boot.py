"""Kernel parameters, in the files of the host's boot loader."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ouchi.core.errors import Finding, error
from ouchi.facts.boot import parse_parameters
from ouchi.host.step import Step
from ouchi.host.survey import Survey
from ouchi.live.cmdline import PAGES, key_of
from ouchi.plan.target import Target
from ouchi.render.kernel import PATH, drop_in
from ouchi.steps import file as path
from ouchi.steps.journal import Journal

ENTRY = "/etc/kernel/cmdline"
"""What kernel-install writes into the entries of systemd-boot (kernel-install(8))."""

ENTRIES = "kernel entries"
"""The refresh that runs kernel-install."""

PARAMETERS = "kernel parameters"
"""The journal's note of the parameters that were ever added to the kernel command line, also those of previous plans."""


def missing(planned: Iterable[str], cmdline: Iterable[str]) -> tuple[str, ...]:
    """Return the planned parameters that are not on a command line."""
    present = set(cmdline)
    return tuple(param for param in planned if param not in present)


def planned_params(target: Target, survey: Survey) -> tuple[str, ...]:
    """Return the parameters to add: the planned ones that the user has not set already."""
    users = survey.user_params
    pages = [param for param in target.plan.kernel_args if key_of(param) in PAGES]
    kept = set(pages) if [param for param in users if key_of(param) in PAGES] == pages else set()
    return tuple(
        param
        for param in target.plan.kernel_args
        if param not in kept and (key_of(param) in PAGES or param not in users)
    )


def split_params(survey: Survey, running: Iterable[str], added: Collection[str]) -> Survey:
    """With systemd-boot, set ``user_params``: its one line without the parameters that ouchi has ``added``.

    The line is the file's; without a file kernel-install takes that of the ``running`` kernel.
    """
    if survey.loader != "systemd-boot":
        return survey
    lines = [line for line in survey.kernel_cmdline.splitlines() if not line.lstrip().startswith("#")]
    params = parse_parameters(" ".join(lines)) if survey.kernel_cmdline else _without_loader(running)
    return replace(survey, user_params=tuple(param for param in params if param not in added))


def added_params(journal: Journal) -> tuple[str, ...]:
    """Return every parameter that was added since the last undo, also for previous plans."""
    return tuple(journal.note(PARAMETERS) or ())


def user_line(survey: Survey) -> str:
    """Return the user's parameters as a line of a file."""
    return f"{' '.join(survey.user_params)}\n"


def contradictions(target: Target, survey: Survey) -> list[Finding]:
    """Return user parameters with another value than the planned one: which of two the kernel takes is not certain."""
    planned = {key_of(param): param for param in target.plan.kernel_args}
    pages = [param for param in target.plan.kernel_args if key_of(param) in PAGES]
    user_pages = [param for param in survey.user_params if key_of(param) in PAGES]
    found = [(" ".join(user_pages), " ".join(pages))] if user_pages and pages and user_pages != pages else []
    found += [
        (param, planned[key_of(param)])
        for param in survey.user_params
        if key_of(param) not in PAGES and key_of(param) in planned and param != planned[key_of(param)]
    ]
    return [
        error(
            "your kernel command line contradicts the plan",
            where=_source(survey),
            found=value,
            expected=f"{expected}, or no such parameter",
            remedy="remove it, or give the plan the same CPUs in your site file (ouchi plan), then: ouchi apply",
        )
        for value, expected in found
    ]


def foreign_entries(survey: Survey, *, first: bool) -> list[Finding]:
    """Return why kernel-install cannot write the boot loader entries; ``first``: ouchi has not run it before."""
    if not survey.entries:
        return [
            error(
                "systemd-boot has no entry for a kernel of this system",
                where="/efi, /boot, /boot/efi: loader/entries",
                expected="entries by kernel-install; unified kernel images (UKI) contain their parameters",
                remedy="kernel-install add KERNEL-VERSION KERNEL-IMAGE (its layout is bls), then: ouchi apply",
            )
        ]
    line = sorted(_without_id(survey.user_params))
    return [
        error(
            "kernel-install would change more than the plan",
            where=path,
            found=options.strip(),
            expected=f"the parameters of {_source(survey)}: {' '.join(survey.user_params)}",
            remedy=f"keep your parameters in {ENTRY}, run kernel-install add for the kernel, then: ouchi apply",
        )
        for path, options in survey.entries.items()
        if first and sorted(_without_id(parse_parameters(options))) != line
    ]


def wrong_entries(params: Sequence[str], entries: dict[str, str]) -> dict[str, str]:
    """Return the entries that do not have each parameter as often as given: once, but for pages of several sizes."""
    return {
        path: options
        for path, options in entries.items()
        if any(parse_parameters(options).count(param) != params.count(param) for param in params)
    }


def boot_step(target: Target, survey: Survey) -> Step:
    """A drop-in for GRUB, or the line of systemd-boot with the planned parameters at its end."""
    params = planned_params(target, survey)
    why = "hugepages, the IOMMU and isolated CPUs are set up when the kernel boots"
    if not params or not survey.loader:
        return Step("kernel", why, ())
    if survey.loader == "systemd-boot":
        line = " ".join((*survey.user_params, *params))
        return Step("kernel", why, (path.folder("/etc/kernel"), path.file(ENTRY, f"{line}\n", ENTRIES)))
    rendered = drop_in(target, params)
    folder = path.folder(f"/{PATH.rpartition('/')[0]}")
    return Step("kernel", why, (folder, path.file(f"/{PATH}", rendered.text, "grub", mode=rendered.mode)))


def _without_loader(params: Iterable[str]) -> tuple[str, ...]:
    """The parameters of a running kernel without those that the boot loader adds."""
    return tuple(param for param in params if key_of(param) not in ("BOOT_IMAGE", "initrd"))


def _without_id(params: Iterable[str]) -> list[str]:
    """kernel-install adds the machine id where the line has none."""
    return [param for param in params if key_of(param) != "systemd.machine_id"]


def _source(survey: Survey) -> str:
    """The file with the user's parameters."""
    if survey.loader == "grub":
        return "/etc/default/grub"
    return ENTRY if survey.kernel_cmdline else "/proc/cmdline"
