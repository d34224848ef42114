"""Lock files: one change of an instance at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as RealPath

from ouchi.core.errors import BadInput


@contextmanager
def exclusive_lock(path: str, command: str) -> Iterator[None]:
    """Hold the lock file ``path`` inside the context; the kernel releases it when the process ends, however it does.

    Raises :class:`~ouchi.core.errors.BadInput` at once when another process holds it, with its process ID and command.
    """
    try:
        RealPath(path).parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as reason:
        if not os.path.lexists(path):  # an error of the folder, which the caller reports
            raise
        raise BadInput.of(
            "the lock against a second ouchi cannot be taken",
            where=path,
            found=reason.strerror or str(reason),
            expected="a file that belongs to the user who runs ouchi, or none",
            remedy=f"see whose it is (ls -l {path}) and remove it",
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            raise lock_error(path, holder) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"ouchi {command}, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(handle)


def lock_error(where: str, holder: str) -> BadInput:
    """The error for a lock that another process has; ``holder`` is the text in the lock file."""
    return BadInput.of(
        "another ouchi is changing this machine",
        where=where,
        found=holder or "an unknown process",
        expected="one at a time",
        remedy="wait until it has ended, or interrupt it with Ctrl-C where it runs",
    )
