"""The command log: a record of each command that ouchi runs and of each file of a host that it changes.

It is off until :func:`log_to` names a sink; until then :func:`write` returns at once. Credentials are removed before a record reaches the sink;
environments are logged by the names of their variables, and input by its length.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ouchi.core.redact import hide_arguments, hide_secrets

LONGEST: Final = 300
"""Characters of an argument that are logged; scripts and SQL are longer."""

LOCAL: Final = "local"
"""The host of records about this machine."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was done where.

    ``action`` is ``run`` (a command and its end), ``start`` and ``end`` (a background program), ``exec`` (ouchi itself
    became the program), ``signal``, ``connect`` (an ssh connection), ``ouchi`` (its own command line), ``bug`` (the traceback
    of one in a task), or a change of a file: ``write``, ``poke`` (a file of the kernel), ``folder``, ``remove``. ``argv`` is the command, or the path and what was
    written to it.

    ``time`` is the beginning, in seconds since 1970. ``status`` is the exit status (negative: the signal), None where
    there is none. ``note`` says what else matters, such as a time limit that was exceeded. ``env`` has the names of
    variables that were added to the environment, ``input`` the number of bytes on standard input.
    """

    time: float
    host: str
    action: str
    argv: tuple[str, ...]
    seconds: float = 0.0
    status: int | None = None
    note: str = ""
    env: tuple[str, ...] = ()
    input: int = 0

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON; empty optional members are left out."""
        optional = {"note": self.note, "env": list(self.env), "input": self.input}
        return {
            "time": datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds"),
            "host": self.host,
            "action": self.action,
            "argv": list(self.argv),
            "seconds": round(self.seconds, 4),
            "status": self.status,
            **{name: value for name, value in optional.items() if value},
        }

    def __str__(self) -> str:
        clock = datetime.fromtimestamp(self.time).astimezone().strftime("%H:%M:%S.%f")[:-3]
        status = "" if self.status is None else f"[{self.status}] "
        note = f" ({self.note})" if self.note else ""
        return f"{clock} {self.host} {self.action} {self.seconds:.3f} s {status}{' '.join(self.argv)}{note}"


Sink = Callable[[Record], None]

_sink: Sink | None = None
_lock = threading.Lock()


def log_to(sink: Sink | None) -> Sink | None:
    """Send all further records to ``sink``, or to none; returns the sink of before."""
    global _sink  # one log of one process
    before, _sink = _sink, sink
    return before


def sink_is(sink: Sink) -> bool:
    """True when the records go to ``sink``."""
    return _sink is sink


def write(
    host: str,
    action: str,
    argv: Sequence[object],
    *,
    seconds: float = 0.0,
    status: int | None = None,
    note: str = "",
    env: Collection[str] = (),
    input: int = 0,
) -> None:
    """Log what has just ended after ``seconds``. See :class:`Record`."""
    if _sink is None:
        return
    words = (_shortened(word) for word in hide_arguments([str(word) for word in argv]))
    record = Record(
        time=time.time() - seconds,
        host=host,
        action=action,
        argv=tuple(words),
        seconds=seconds,
        status=status,
        note=hide_secrets(note),
        env=tuple(sorted(env)),
        input=input,
    )
    with _lock:
        if _sink is not None:
            _sink(record)


def _shortened(word: str) -> str:
    """The beginning of a long argument, on one line."""
    if len(word) > LONGEST:
        word = f"{word[:LONGEST]}… ({len(word)} characters)"
    return word.replace("\n", "\\n")
