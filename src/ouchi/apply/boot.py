"""The kernel's command line, in the files of the boot loader that the host has."""

from __future__ import annotations

from collections.abc import Iterable

from ouchi.apply.step import Step
from ouchi.apply.surroundings import Surroundings
from ouchi.changes import path
from ouchi.errors import Finding, error
from ouchi.render.host import Host
from ouchi.render.kernel import PATH, drop_in

ENTRY = "/etc/kernel/cmdline"
"""What kernel-install writes into the entries of systemd-boot (kernel-install(8))."""

WORDS = "words"
"""The journal's kind for the words that were added to the kernel's command line."""

PAGES = ("default_hugepagesz", "hugepagesz", "hugepages")
"""Words that mean something only together and in their order."""


def missing(wanted: Iterable[str], cmdline: Iterable[str]) -> tuple[str, ...]:
    """The words of the plan that a command line has not."""
    there = set(cmdline)
    return tuple(word for word in wanted if word not in there)


def ours(host: Host, around: Surroundings) -> tuple[str, ...]:
    """The words to add: those of the plan that the user's own line has not. What stands there is kept."""
    theirs = around.own_words if around.loader == "grub" else ()
    pages = [word for word in host.plan.kernel_args if _key(word) in PAGES]
    kept = set(pages) if [word for word in theirs if _key(word) in PAGES] == pages else set()
    return tuple(
        word for word in host.plan.kernel_args if word not in kept and (_key(word) in PAGES or word not in theirs)
    )


def contradictions(host: Host, around: Surroundings) -> list[Finding]:
    """Words of the user's that say something else than the plan: which of the two the kernel takes is not to be guessed."""
    wanted = {_key(word): word for word in host.plan.kernel_args}
    pages = [word for word in host.plan.kernel_args if _key(word) in PAGES]
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
            where="/etc/default/grub",
            found=word,
            expected=f"{planned}, or nothing of the kind",
            remedy="take it out, or give the plan the same CPUs in your site file (ouchi plan), then: ouchi apply",
        )
        for word, planned in found
    ]


def boot_step(host: Host, around: Surroundings, cmdline: tuple[str, ...]) -> Step:
    """A drop-in for GRUB, or the line of systemd-boot with ours at its end. ``cmdline``: that of the running kernel."""
    words = ours(host, around)
    why = "hugepages, the IOMMU and isolated CPUs are settled when the kernel starts"
    if not words or not around.loader:
        return Step("kernel", why, ())
    if around.loader == "systemd-boot":
        line = " ".join((*_without(_before(around, cmdline), words), *words))
        return Step("kernel", why, (path.file(ENTRY, f"{line}\n", "kernel entries"),))
    rendered = drop_in(host, words)
    folder = path.folder(f"/{PATH.rpartition('/')[0]}")
    return Step("kernel", why, (folder, path.file(f"/{PATH}", rendered.text, "grub", mode=rendered.mode)))


def _before(around: Surroundings, cmdline: tuple[str, ...]) -> tuple[str, ...]:
    """The line that entries are made with now: the file's, or without one the running kernel's."""
    told = tuple(" ".join(around.kernel_cmdline.splitlines()).split())
    return told or tuple(word for word in cmdline if _key(word) not in ("BOOT_IMAGE", "initrd"))


def _without(line: tuple[str, ...], words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in line if word not in words)


def _key(word: str) -> str:
    return word.partition("=")[0]
