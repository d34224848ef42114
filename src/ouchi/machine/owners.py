"""Where root may write for its users: folders of its own, and those of the user who called sudo.

The owner of a folder can put a link in the place of any name in it, at any time; so can everybody in a folder like
``/tmp``. What root writes there could replace any file of the host (cf. the kernel's ``fs.protected_symlinks``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path as RealPath

from ouchi.core.errors import BadInput
from ouchi.machine import Path

MAX_LINKS = 40
"""Links in one path that the kernel follows."""


def trusted_uids() -> frozenset[int]:
    """Return this process's user; for root also the user who called sudo (``SUDO_UID``) and the owner of this program."""
    uid = os.geteuid()
    if uid != 0:
        return frozenset({0, uid})
    sudo = os.environ.get("SUDO_UID", "")
    caller = {int(sudo)} if sudo.isascii() and sudo.isdecimal() and len(sudo) <= 10 else set()
    return frozenset({0, os.stat(__file__).st_uid, *caller, *_unmapped()})


def require_own(path: Path) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` where root would write through a folder, link or pipe of another user.

    Every folder and link on the way counts. A path need not exist. Nothing is refused to other users than root, to whom
    the kernel refuses what is not theirs.
    """
    if os.geteuid() != 0:
        return
    trusted = trusted_uids()
    for one, info in _way(str(RealPath(path).absolute())):
        if info.st_uid not in trusted and not (stat.S_ISREG(info.st_mode) or stat.S_ISCHR(info.st_mode)):
            raise BadInput.of(
                "another user could have root write anywhere",
                where=str(path),
                found=f"{one} belongs to user id {info.st_uid}",
                expected="folders and links of root or, with sudo, of the user who calls it",
                remedy="the same command with another folder; or with sudo, as that user",
            )


def _way(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every folder and link that the kernel walks through, then what is there, as far as it exists."""
    at, names, links = "/", path.split("/"), 0
    yield at, os.stat(at)
    while names:
        name = names.pop(0)
        one = os.path.normpath(os.path.join(at, name))
        try:
            info = os.lstat(one)
        except OSError:
            return
        yield one, info
        if not stat.S_ISLNK(info.st_mode):
            at = one
            continue
        links += 1
        if links > MAX_LINKS or one.startswith("/proc/"):  # to what this process has open, such as /dev/stdout
            return
        target = os.readlink(one)
        at = "/" if target.startswith("/") else at
        names = [*target.split("/"), *names]


def _unmapped() -> set[int]:
    """The user id that stands for all others in a user namespace (user_namespaces(7)), where root may own nothing."""
    whole = RealPath("/proc/self/uid_map").read_text("ascii").split() == ["0", "0", "4294967295"]
    return set() if whole else {int(RealPath("/proc/sys/kernel/overflowuid").read_text("ascii"))}
