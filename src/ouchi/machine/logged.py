"""Commands and changes of files as entries of the command log (see :mod:`ouchi.core.log`)."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ouchi.core import log
from ouchi.machine import CommandFailed


@dataclass(slots=True)
class Entry:
    """What is only known at the end of a command: its exit status, and anything else worth a note."""

    status: int | None = None
    note: str = ""


@contextmanager
def logged(
    host: str, action: str, argv: Sequence[object], *, env: Collection[str] = (), input: int = 0
) -> Iterator[Entry]:
    """Log the body as one entry, with its duration, when it ends or raises."""
    entry, begin = Entry(), time.monotonic()
    try:
        yield entry
    except CommandFailed as failure:
        entry.status = failure.result.status
        raise
    except OSError as reason:
        entry.note = entry.note or reason.strerror or str(reason)
        raise
    except BaseException as reason:
        entry.note = entry.note or type(reason).__name__
        raise
    finally:
        seconds = time.monotonic() - begin
        log.write(host, action, argv, seconds=seconds, status=entry.status, note=entry.note, env=env, input=input)
