"""Resolving symbolic links by their targets alone, for hosts that are recorded and snapshots that are read."""

from __future__ import annotations

import errno
from collections.abc import Callable

MOST_LINKS = 40  # as many as Linux follows


class LeadsOutsideError(Exception):
    """A path climbs above the root."""


def follow(path: str, target_of: Callable[[str], str | None], through: Callable[[str], bool]) -> str:
    """The real path: ``/a/b`` without links, ``.`` and ``..``; empty for the root.

    ``target_of`` returns the target of a symbolic link, None for anything else; an absolute target starts at the root.
    ``through`` returns whether a path is a folder, which ``..`` may leave. Raises OSError on a loop of links or a
    missing folder, :class:`LeadsOutsideError` when the path leaves the root.
    """
    pending = path.split("/")[::-1]
    walked = ""
    links = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not walked:
                raise LeadsOutsideError(path)
            if not through(walked):
                raise FileNotFoundError(errno.ENOENT, "no such folder", walked)
            walked = walked.rpartition("/")[0]
            continue
        target = target_of(f"{walked}/{part}")
        if target is None:
            walked = f"{walked}/{part}"
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, "too many links", path)
        if target.startswith("/"):
            walked = ""
        pending.extend(target.split("/")[::-1])
    return walked
