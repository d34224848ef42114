"""Debian 13 by mmdebstrap: from which mirror, with which rights, and what the machine needs for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from ouchi.core.errors import BadInput, Failed, error
from ouchi.core.events import Say
from ouchi.machine import CommandFailed, Machine
from ouchi.parts import packages
from ouchi.steps.journal import Journal

SUITE = "trixie"
NEEDED = ("debian-archive-keyring", "mmdebstrap", "openssh-client", "tar", "uidmap", "util-linux")
"""Packages that the machine itself must have."""

BUILD_SECONDS = 1200.0
"""A slow line may take minutes for 200 MB."""

ALONE = ("unshare", "--fork", "--kill-child", "--pid", "--mount-proc")
"""For root: processes of its own, which end with the first of them. When ouchi is killed nothing of mmdebstrap's goes on."""

WITHOUT = tuple(
    word for folder in ("doc", "info", "locale", "man") for word in ("--dpkgopt", f"path-exclude=/usr/share/{folder}/*")
)
"""What nobody reads in there."""


def require_tools(machine: Machine, folder: PurePath, say: Say) -> None:
    """See to it that :data:`NEEDED` are installed: by root installed now, otherwise named.

    Raises :class:`~ouchi.core.errors.BadInput` with what is missing, :class:`~ouchi.core.errors.Failed` with apt's own words.
    """
    missing = packages.missing_packages(machine, NEEDED)
    if missing and is_root(machine):
        packages.install(machine, Journal(machine, str(folder)), NEEDED, say)
    elif missing:
        raise BadInput(
            error(
                "the rig needs packages that are not installed",
                found=f"without {', '.join(missing)}",
                expected=" ".join(NEEDED),
                remedy="sudo apt-get install --no-install-recommends " + " ".join(missing),
            )
        )


def is_root(machine: Machine) -> bool:
    """True when programs run as root."""
    return machine.run(("id", "-u")).stdout.strip() == "0"


def bootstrap(machine: Machine, variant: str, target: PurePath, include: Sequence[str], options: Sequence[str]) -> None:
    """Write Debian with the packages ``include`` to the tar file ``target``.

    What mmdebstrap works in lies beside it, so that it goes with a folder that a killed run left unfinished; without
    root it lies in the temporary folder, since other users of its namespace must get there.
    Raises :class:`~ouchi.core.errors.Failed` with mmdebstrap's own words.
    """
    root = is_root(machine)
    words = [
        "mmdebstrap", f"--mode={'root' if root else 'unshare'}", f"--variant={variant}", "--format=tar",
        "--include=" + ",".join(include), *WITHOUT, *options, SUITE, str(target), *mirror(machine),
    ]  # fmt: skip
    try:
        scratch = {"TMPDIR": str(target.parent)} if root else {}
        machine.run((*(ALONE if root else ()), *words), timeout=BUILD_SECONDS, env={**proxies(machine), **scratch})
    except CommandFailed as failure:
        said = [line for line in failure.result.stderr.splitlines() if line.startswith(("E:", "Err:", "W:"))][-4:]
        remedy = "look at the network and at apt's sources, then run the same command again"
        raise Failed(
            error(
                f"Debian's {SUITE} could not be unpacked",
                where=f"mmdebstrap --variant={variant}",
                found=" | ".join(said) or failure.findings[0].found,
                expected="a mirror that answers, and root or user namespaces",
                remedy=remedy if root else f"{remedy}; or as root",
            )
        ) from None


def mirror(machine: Machine) -> list[str]:
    """Where the machine's own apt has Debian from; empty, for mmdebstrap's default, when it is no Debian."""
    answer = machine.run(
        ("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(SITE)", "Created-By: Packages"), check=False
    )
    return parse_mirror(answer.stdout)


def parse_mirror(text: str) -> list[str]:
    """The first address of Debian's own archive in lines ``origin|label|address``."""
    for line in text.splitlines():
        origin, _, rest = line.partition("|")
        label, _, site = rest.partition("|")
        if origin == label == "Debian" and site.startswith(("http://", "https://")):
            return [site]
    return []


def proxies(machine: Machine) -> dict[str, str]:
    """The proxies of the machine's own apt, which mmdebstrap does not read, as variables that it does."""
    answer = machine.run(("apt-config", "dump", "--format", "%f %v%n"), check=False)
    return parse_proxies(answer.stdout)


def parse_proxies(text: str) -> dict[str, str]:
    """``http_proxy`` and ``https_proxy`` from lines ``name value``; a proxy for one host alone is left out."""
    values = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    found = {f"{kind}_proxy": values.get(f"Acquire::{kind}::Proxy", "") for kind in ("http", "https")}
    return {name: address for name, address in found.items() if address and address != "DIRECT"}
