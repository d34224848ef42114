"""Where the command log goes: standard error, or a file of JSON lines that only its owner can read."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator

from ouchi.core import log
from ouchi.core.errors import BadInput
from ouchi.core.log import Record, Sink
from ouchi.core.redact import add_secrets
from ouchi.machine.owners import require_own, trusted_uids


def to_stderr(record: Record) -> None:
    """Print a record for a person."""
    sys.stderr.write(f"debug: {record}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def logging(path: str, secrets: str) -> Iterator[None]:
    """Keep the command log: in the file ``path``, appended to and made with mode 0600, or on standard error when it is empty.

    ``secrets`` is a JSON file with passwords by name, which are left out of the log; it need not be there.
    Raises :class:`~ouchi.core.errors.BadInput` when the file cannot be written to.
    """
    _register(secrets)
    handle = _open(path) if path else -1
    before = log.log_to(_sink(handle) if path else to_stderr)
    try:
        if path:
            _write_command_line()
        yield
    finally:
        log.log_to(before)
        if path:
            os.close(handle)


def move_to_file() -> str:
    """Send a log that goes to standard error to a new file in the temporary folder; its path, empty if it does not.

    For the time in which progress is shown there.
    """
    if not log.sink_is(to_stderr):
        return ""
    handle, path = tempfile.mkstemp(prefix="ouchi-debug-", suffix=".jsonl")
    log.log_to(_sink(handle))
    _write_command_line()
    return path


def _write_command_line() -> None:
    """The first record of a run in a file, where there may be several."""
    log.write(log.LOCAL, "ouchi", sys.argv, note=f"process {os.getpid()}")


def _open(path: str) -> int:
    require_own(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    try:
        try:
            # Without O_CREAT first: with it the kernel refuses root a file of the user's in /tmp (fs.protected_regular).
            handle = os.open(path, flags)
        except FileNotFoundError:
            return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode) and found.st_uid not in trusted_uids():
            os.close(handle)
            raise PermissionError(errno.EPERM, f"it belongs to user id {found.st_uid}, who could read the log")
        return handle
    except OSError as reason:
        raise BadInput.of(
            "the command log cannot be written",
            where=path,
            found=reason.strerror or str(reason),
            expected="a file that this user may append to, or none and a folder to create it in",
            remedy="OUCHI_DEBUG=FILE with another file",
        ) from None


def _sink(handle: int) -> Sink:
    """One write for each line, so that several processes can append to one file."""
    return lambda record: _append(handle, record)


def _append(handle: int, record: Record) -> None:
    with contextlib.suppress(OSError):  # a full disk must not stop what is being logged
        os.write(handle, json.dumps(record.to_json(), ensure_ascii=False).encode(errors="replace") + b"\n")


def _register(path: str) -> None:
    """Register passwords that an earlier run has generated; only root can read them, and others never see them."""
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        add_secrets(value for value in json.load(file).values() if isinstance(value, str))
