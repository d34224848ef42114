"""The guest's kernel: the distribution's package for virtual machines, fetched but never installed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.errors import Failed, error
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
    """The kernel that the distribution offers now.

    APT's own cache of its lists is kept in ``cache``: some images switch it off, and asking then takes seconds.
    Raises :class:`Failed` on a distribution without such a kernel or when its lists are missing.
    """
    distribution = parse_os_release(machine.read("/etc/os-release"))
    name = next((METAPACKAGES[word] for word in distribution if word in METAPACKAGES), None)
    if name is None:
        raise Failed(
            error(
                "no kernel package for virtual machines is known here",
                where="/etc/os-release",
                found=" ".join(distribution) or "no ID",
                expected=" or ".join(METAPACKAGES),
            )
        )
    option = f"Dir::Cache::pkgcache={cache / 'packages.bin'}"
    shown = machine.run(["apt-cache", "-o", option, "show", "--no-all-versions", name], check=False)
    kernel = parse_metapackage(shown.stdout)
    if kernel is None:
        raise Failed(
            error(
                f"the package lists have no {name}",
                where="apt-cache show " + name,
                found=(shown.stderr.strip() or shown.stdout.strip())[-300:],
                expected="a package that depends on linux-image-…",
                remedy="apt-get update",
            )
        )
    return kernel


def fetch(machine: Machine, kernel: Kernel, cache: PurePath, work: PurePath) -> list[PurePath]:
    """The kernel's package files, from a folder for this version in ``cache`` or downloaded into it.

    The folder gets there only whole: it is filled in ``work``, on the same file system.
    Raises :class:`Failed` when the packages cannot be had.
    """
    kept = cache / f"kernel-{kernel.release}_{kernel.version.replace(':', '-')}"
    if not machine.exists(kept):
        machine.make_folder(work / "debs")
        try:
            machine.run(["apt-get", "download", *kernel.packages], cwd=work / "debs", timeout=600)
        except CommandFailed as failure:
            raise Failed(
                error(
                    "the guest's kernel could not be downloaded",
                    where=" ".join(failure.result.argv),
                    found=(failure.result.stderr.strip() or str(failure))[-300:],
                    expected="the distribution's mirror answers",
                    remedy="apt-get update",
                )
            ) from None
        for name in machine.entries(cache):
            if name.startswith("kernel-"):
                machine.remove(cache / name)
        machine.run(["mv", "-T", str(work / "debs"), str(kept)])
    return [kept / name for name in machine.entries(kept)]


def parse_os_release(text: str) -> list[str]:
    """What a distribution calls itself, then what it is like: the words of ``ID`` and ``ID_LIKE``."""
    values = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', text, re.MULTILINE))
    return [*values.get("ID", "").split(), *values.get("ID_LIKE", "").split()]


def parse_metapackage(text: str) -> Kernel | None:
    """The kernel named by ``apt-cache show`` of a metapackage; None when it names none.

    Ubuntu keeps the modules in a package of their own, beside the ``generic`` kernel.
    """
    depends = re.search(r"^Depends:.*?\blinux-image-(?P<release>\d[^ ,]*)", text, re.MULTILINE)
    version = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
    if not depends or not version:
        return None
    release = depends["release"]
    modules = (f"linux-modules-{release}",) if release.endswith("-generic") else ()
    return Kernel(release, version[1], (f"linux-image-{release}", *modules))


def load_order(dependencies: str, builtin: str, wanted: Sequence[str]) -> list[str]:
    """The files to load, each after those it needs, for the modules in ``wanted`` that are not built in.

    ``dependencies`` and ``builtin`` are the texts of ``modules.dep`` and ``modules.builtin``; what comes back
    are paths as in the former. Raises :class:`Failed` naming every module that this kernel does not have.
    """
    needs = {path: after.split() for path, _, after in (line.partition(":") for line in dependencies.splitlines())}
    files = {module_name(path): path for path in needs}
    built_in = {module_name(path) for path in builtin.splitlines()}
    if missing := [name for name in wanted if name not in files and name not in built_in]:
        raise Failed(
            error(
                "the distribution's kernel lacks drivers that the guest needs",
                where="modules.dep",
                found="without " + ", ".join(missing),
                expected="a kernel for virtual machines",
            )
        )
    order: dict[str, None] = {}
    for name in wanted:
        if name in files:
            _visit(files[name], needs, order)
    return list(order)


def module_name(path: str) -> str:
    """A module's name as the kernel has it: ``kernel/net/core/failover.ko.xz`` is ``failover``."""
    return PurePath(path).name.partition(".ko")[0].replace("-", "_")


def _visit(path: str, needs: Mapping[str, Sequence[str]], order: dict[str, None]) -> None:
    if path not in order:
        for needed in needs.get(path, ()):
            _visit(needed, needs, order)
        order[path] = None
