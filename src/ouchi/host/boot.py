"""The kernel's command line, in the files of the boot loader that the host has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ouchi.core.errors import Finding, error
from ouchi.facts.boot import parse_parameters
from ouchi.host.step import Step
from ouchi.host.survey import Surroundings
from ouchi.plan.target import Target
from ouchi.render.kernel import PATH, drop_in
from ouchi.steps import file as path
from ouchi.steps.journal import Journal

ENTRY = "/etc/kernel/cmdline"
"""What kernel-install writes into the entries of systemd-boot (kernel-install(8))."""

ENTRIES = "kernel entries"
"""The refresh that has kernel-install do so."""

PARAMETERS = "kernel parameters"
"""The journal's note of the parameters that were ever added to the kernel command line, also those of previous plans."""

PAGES = ("default_hugepagesz", "hugepagesz", "hugepages")
"""Words that mean something only together and in their order."""


def missing(wanted: Iterable[str], cmdline: Iterable[str]) -> tuple[str, ...]:
    """The words of the plan that a command line has not."""
    there = set(cmdline)
    return tuple(word for word in wanted if word not in there)


def ours(target: Target, around: Surroundings) -> tuple[str, ...]:
    """The words to add: those of the plan that the user's own line has not. What stands there is kept."""
    theirs = around.own_words
    pages = [word for word in target.plan.kernel_args if _key(word) in PAGES]
    kept = set(pages) if [word for word in theirs if _key(word) in PAGES] == pages else set()
    return tuple(
        word for word in target.plan.kernel_args if word not in kept and (_key(word) in PAGES or word not in theirs)
    )


def told_apart(around: Surroundings, running: Iterable[str], added: Collection[str]) -> Surroundings:
    """With systemd-boot, whose one line holds the user's words and ours: ``own_words`` are those that we have not added.

    The line is the file's; without one kernel-install takes the ``running`` kernel's.
    """
    if around.loader != "systemd-boot":
        return around
    told = [line for line in around.kernel_cmdline.splitlines() if not line.lstrip().startswith("#")]
    line = parse_parameters(" ".join(told)) if around.kernel_cmdline else _passed_on(running)
    return replace(around, own_words=tuple(word for word in line if word not in added))


def added_words(journal: Journal) -> tuple[str, ...]:
    """Every word that was added here, also for former plans, since the last undo."""
    return tuple(journal.note(PARAMETERS) or ())


def own_line(around: Surroundings) -> str:
    """The user's words as a line of a file."""
    return f"{' '.join(around.own_words)}\n"


def contradictions(target: Target, around: Surroundings) -> list[Finding]:
    """Words of the user's that say something else than the plan: which of the two the kernel takes is not to be guessed."""
    wanted = {_key(word): word for word in target.plan.kernel_args}
    pages = [word for word in target.plan.kernel_args if _key(word) in PAGES]
    theirs = [word for word in around.own_words if _key(word) in PAGES]
    found = []
    if theirs and pages and theirs != pages:
        found.append((" ".join(theirs), " ".join(pages)))
    found += [
        (word, wanted[_key(word)])
        for word in around.own_words
        if _key(word) not in PAGES and _key(word) in wanted and word != wanted[_key(word)]
    ]
    return [
        error(
            "your kernel command line contradicts the plan",
            where=_place(around),
            found=word,
            expected=f"{planned}, or nothing of the kind",
            remedy="take it out, or give the plan the same CPUs in your site file (ouchi plan), then: ouchi apply",
        )
        for word, planned in found
    ]


def entries_in_the_way(around: Surroundings, *, first: bool) -> list[Finding]:
    """Why kernel-install cannot be left to write systemd-boot's entries; ``first``: it has not done so for us before."""
    remedy = "ouchi apply"
    if not around.entries:
        return [
            error(
                "systemd-boot has no entry for a kernel of this system",
                where="/efi, /boot, /boot/efi: loader/entries",
                expected="entries by kernel-install; kernels with their words inside (UKI) are not ouchi's to change",
                remedy=f"kernel-install add KERNEL-VERSION KERNEL-IMAGE (its layout is bls), then: {remedy}",
            )
        ]
    line = sorted(_without_id(around.own_words))
    return [
        error(
            "kernel-install would change more than the plan asks for",
            where=path,
            found=options.strip(),
            expected=f"the words of {_place(around)}: {' '.join(around.own_words)}",
            remedy=f"keep the words that you want in {ENTRY}, run kernel-install add for the kernel, then: {remedy}",
        )
        for path, options in around.entries.items()
        if first and sorted(_without_id(parse_parameters(options))) != line
    ]


def not_in_entries(words: Sequence[str], entries: dict[str, str]) -> dict[str, str]:
    """The entries that have not each of the words as often as asked for: once, but for pages of several sizes."""
    return {
        path: options
        for path, options in entries.items()
        if any(parse_parameters(options).count(word) != words.count(word) for word in words)
    }


def boot_step(target: Target, around: Surroundings) -> Step:
    """A drop-in for GRUB, or the line of systemd-boot with ours at its end."""
    words = ours(target, around)
    why = "hugepages, the IOMMU and isolated CPUs are settled when the kernel starts"
    if not words or not around.loader:
        return Step("kernel", why, ())
    if around.loader == "systemd-boot":
        line = " ".join((*around.own_words, *words))
        return Step("kernel", why, (path.folder("/etc/kernel"), path.file(ENTRY, f"{line}\n", ENTRIES)))
    rendered = drop_in(target, words)
    folder = path.folder(f"/{PATH.rpartition('/')[0]}")
    return Step("kernel", why, (folder, path.file(f"/{PATH}", rendered.text, "grub", mode=rendered.mode)))


def _passed_on(words: Iterable[str]) -> tuple[str, ...]:
    """The words of a running kernel that are not the boot loader's."""
    return tuple(word for word in words if _key(word) not in ("BOOT_IMAGE", "initrd"))


def _without_id(words: Iterable[str]) -> list[str]:
    """kernel-install adds the machine's id where the line has none."""
    return [word for word in words if _key(word) != "systemd.machine_id"]


def _place(around: Surroundings) -> str:
    """Where the user's words stand."""
    if around.loader == "grub":
        return "/etc/default/grub"
    return ENTRY if around.kernel_cmdline else "/proc/cmdline"


def _key(word: str) -> str:
    return word.partition("=")[0]
