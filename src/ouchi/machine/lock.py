"""One change of an instance at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as RealPath

from ouchi.core.errors import BadInput, error


@contextmanager
def only_one(path: str, doing: str) -> Iterator[None]:
    """Hold the lock file ``path`` while doing something; the kernel lets go of it when we die, however.

    Raises :class:`~ouchi.core.errors.BadInput` at once when another process holds it, saying which and what it does.
    """
    try:
        RealPath(path).parent.mkdir(parents=True, exist_ok=True)
        # The folder may be everybody's: a link that somebody put there leads to a file that must not be emptied.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as reason:
        if not os.path.lexists(path):  # the folder's fault, which whoever chose it tells of
            raise
        raise _not_ours(path, reason) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            raise held(path, holder) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"ouchi {doing}, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(handle)


def _not_ours(path: str, reason: OSError) -> BadInput:
    return BadInput(
        error(
            "the lock that keeps two ouchis apart cannot be taken",
            where=path,
            found=reason.strerror or str(reason),
            expected="a file of the user's who runs ouchi, or none",
            remedy=f"see whose it is (ls -l {path}) and take it away",
        )
    )


def held(where: str, holder: str) -> BadInput:
    """Somebody else has the lock and says that he is ``holder``."""
    return BadInput(
        error(
            "another ouchi is changing this machine",
            where=where,
            found=holder or "a process that has not said who it is",
            expected="one at a time",
            remedy="wait until it has ended, or interrupt it with Ctrl-C where it runs",
        )
    )
