"""Unpacking Debian 13 with mmdebstrap: mirror, proxies, privileges, and the packages it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from ouchi.core.errors import BadInput, Failed
from ouchi.core.events import Notify
from ouchi.machine import CommandFailed, Machine
from ouchi.parts import packages
from ouchi.steps.journal import Journal

SUITE = "trixie"
NEEDED = ("debian-archive-keyring", "mmdebstrap", "openssh-client", "tar", "uidmap", "util-linux")
"""Packages that must be installed on the machine itself."""

BUILD_SECONDS = 1200.0
"""A slow connection may take minutes for 200 MB."""

ALONE = ("unshare", "--fork", "--kill-child", "--pid", "--mount-proc")
"""For root: a PID namespace, so that nothing of mmdebstrap runs on when ouchi is killed."""

WITHOUT = tuple(
    word for folder in ("doc", "info", "locale", "man") for word in ("--dpkgopt", f"path-exclude=/usr/share/{folder}/*")
)
"""Documentation and translations, which the rig does not need."""


def require_tools(machine: Machine, folder: PurePath, notify: Notify) -> None:
    """Install the packages of :data:`NEEDED` that are missing, as root; otherwise raise with their names.

    Raises :class:`~ouchi.core.errors.BadInput` without root, :class:`~ouchi.core.errors.Failed` with apt's messages.
    """
    missing = packages.missing_packages(machine, NEEDED)
    if missing and is_root(machine):
        packages.install(Journal(machine, str(folder)), NEEDED, notify)
    elif missing:
        raise BadInput.of(
            "the rig needs packages that are not installed",
            found=f"without {', '.join(missing)}",
            expected=" ".join(NEEDED),
            remedy="sudo apt-get install --no-install-recommends " + " ".join(missing),
        )


def is_root(machine: Machine) -> bool:
    """True when programs run as root."""
    return machine.run(("id", "-u")).stdout.strip() == "0"


def bootstrap(machine: Machine, variant: str, target: PurePath, include: Sequence[str], options: Sequence[str]) -> None:
    """Write Debian with the packages ``include`` to the tar file ``target``.

    As root, mmdebstrap works in the folder of the target, so that what a killed run has left is removed with that
    folder; otherwise in the temporary folder, which the other users of its namespace can reach.
    Raises :class:`~ouchi.core.errors.Failed` with mmdebstrap's messages.
    """
    root = is_root(machine)
    mode = "root" if root else "unshare"
    settings = (f"--mode={mode}", f"--variant={variant}", "--format=tar", f"--include={','.join(include)}", *WITHOUT)
    argv = ("mmdebstrap", *settings, *options, SUITE, str(target), *mirror(machine))
    try:
        scratch = {"TMPDIR": str(target.parent)} if root else {}
        machine.run((*(ALONE if root else ()), *argv), timeout=BUILD_SECONDS, env={**proxies(machine), **scratch})
    except CommandFailed as failure:
        messages = [line for line in failure.result.stderr.splitlines() if line.startswith(("E:", "Err:", "W:"))][-4:]
        remedy = "look at the network and at apt's sources, then run the same command again"
        raise Failed.of(
            f"Debian's {SUITE} could not be unpacked",
            where=f"mmdebstrap --variant={variant}",
            found=" | ".join(messages) or failure.findings[0].found,
            expected="a mirror that answers, and root or user namespaces",
            remedy=remedy if root else f"{remedy}; or as root",
        ) from None


def mirror(machine: Machine) -> list[str]:
    """The Debian mirror of the machine's own apt; empty where it has none, for mmdebstrap's default."""
    words = ("indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(SITE)", "Created-By: Packages")
    answer = machine.run(("apt-get", *words), check=False)
    return re.findall(r"^Debian\|Debian\|(https?://.*)$", answer.stdout, re.MULTILINE)[:1]


def proxies(machine: Machine) -> dict[str, str]:
    """The proxies of the machine's own apt as environment variables, since mmdebstrap does not read apt's settings."""
    answer = machine.run(("apt-config", "dump", "--format", "%f %v%n"), check=False)
    # Those for single hosts are left out.
    values = dict(line.split(" ", 1) for line in answer.stdout.splitlines() if " " in line)
    found = {f"{kind}_proxy": values.get(f"Acquire::{kind}::Proxy", "") for kind in ("http", "https")}
    return {name: address for name, address in found.items() if address and address != "DIRECT"}
