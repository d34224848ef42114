"""The process's own streams."""

from __future__ import annotations

import os
import select
from typing import TextIO


def reader_gone(stream: TextIO) -> bool:
    """True when the stream is a pipe whose reader has closed it."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def discard(stream: TextIO) -> None:
    """Redirect the stream, with what is still buffered, to /dev/null."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
