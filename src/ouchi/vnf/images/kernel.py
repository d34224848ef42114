"""The guest's kernel: the distribution's package for virtual machines, downloaded but not installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.errors import Failed
from ouchi.machine import CommandFailed, Machine

METAPACKAGES = {"debian": "linux-image-cloud-amd64", "ubuntu": "linux-image-virtual"}
"""By the ``ID`` in os-release: the package that depends on the current kernel for virtual machines."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of the distribution: its release (as in ``uname -r``), package version and packages."""

    release: str
    version: str
    packages: tuple[str, ...]


def current_kernel(machine: Machine, cache: PurePath) -> Kernel:
    """The distribution's current kernel.

    APT's package cache is stored in ``cache``: some images disable it, and lookups then take seconds. Raises
    :class:`Failed` on a distribution without such a kernel, or without package lists.
    """
    distribution = parse_os_release(machine.read("/etc/os-release"))
    name = next((METAPACKAGES[word] for word in distribution if word in METAPACKAGES), None)
    if name is None:
        raise Failed.of(
            "no kernel package for virtual machines is known here",
            where="/etc/os-release",
            found=" ".join(distribution) or "no ID",
            expected=" or ".join(METAPACKAGES),
        )
    # Not `apt-cache show`: it unpacks a whole package list, which takes 0.3 s where they are compressed.
    apt = ("apt-cache", "-o", f"Dir::Cache::pkgcache={cache / 'packages.bin'}")
    policy, versions = (machine.run((*apt, word, name), check=False) for word in ("policy", "showpkg"))
    kernel = parse_metapackage(policy.stdout, versions.stdout)
    if kernel is None:
        raise Failed.of(
            f"the package lists have no {name}",
            where=f"apt-cache policy {name}",
            found=(policy.stderr.strip() or policy.stdout.strip())[-300:],
            expected="a package that depends on linux-image-…",
            remedy="apt-get update",
        )
    return kernel


def fetch(machine: Machine, kernel: Kernel, cache: PurePath, work: PurePath) -> list[PurePath]:
    """The kernel's package files, cached in a folder for this version in ``cache``.

    The folder is filled in ``work``, on the same file system, and then renamed. Raises :class:`Failed` when the
    download fails.
    """
    folder = cache / f"kernel-{kernel.release}_{kernel.version.replace(':', '-')}"
    if not machine.exists(folder):
        machine.make_folder(work / "debs")
        try:
            machine.run(["apt-get", "download", *kernel.packages], cwd=work / "debs", timeout=600)
        except CommandFailed as failure:
            raise Failed.of(
                "the guest's kernel could not be downloaded",
                where=" ".join(failure.result.argv),
                found=(failure.result.stderr.strip() or str(failure))[-300:],
                expected="the distribution's mirror answers",
                remedy="apt-get update",
            ) from None
        for name in machine.entries(cache):
            if name.startswith("kernel-"):
                machine.remove(cache / name)
        machine.run(["mv", "-T", str(work / "debs"), str(folder)])
    return [folder / name for name in machine.entries(folder)]


def parse_os_release(text: str) -> list[str]:
    """The words of ``ID`` and ``ID_LIKE``, most specific first."""
    values = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', text, re.MULTILINE))
    return [*values.get("ID", "").split(), *values.get("ID_LIKE", "").split()]


def parse_metapackage(policy: str, versions: str) -> Kernel | None:
    """The kernel of a metapackage's candidate version, from ``apt-cache policy`` and ``apt-cache showpkg``; None without one.

    Ubuntu has the modules of its ``generic`` kernel in a package of their own.
    """
    version = re.search(r"^  Candidate: (\d\S*)$", policy, re.MULTILINE)
    _, _, dependencies = versions.partition("\nDependencies:")
    lines = dependencies.partition("\nProvides:")[0].splitlines()
    of_version = "".join(line for line in lines if version and line.startswith(f"{version[1]} - "))
    depends = re.search(r"\blinux-image-(?P<release>\d[^ ,]*)", of_version)
    if not depends or not version:
        return None
    release = depends["release"]
    modules = (f"linux-modules-{release}",) if release.endswith("-generic") else ()
    return Kernel(release, version[1], (f"linux-image-{release}", *modules))


def load_order(machine: Machine, root: PurePath, release: str, modules: Sequence[str]) -> list[str]:
    """The files of ``modules`` that are not built in, each after what it depends on, as modprobe(8) lists them.

    ``root`` holds ``lib/modules``, with the files of depmod. Raises :class:`Failed` with all modules that this kernel
    does not have.
    """
    options = ["-C", "/dev/null", "-d", str(root), "-S", release, "--all", "--show-depends"]
    shown = machine.run(["modprobe", *options, *modules], check=False)
    if not shown.ok:
        missing = ", ".join(re.findall(r"Module (\S+) not found", shown.stderr))
        raise Failed.of(
            "the distribution's kernel lacks drivers of the guest",
            where="modules.dep",
            found=f"without {missing}" if missing else shown.stderr.strip()[-300:],
            expected="a kernel for virtual machines",
        )
    return list(dict.fromkeys(re.findall(r"^insmod (.+?) *$", shown.stdout, re.MULTILINE)))
