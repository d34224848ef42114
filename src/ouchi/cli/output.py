"""Lines for the user, and a file that the user named on the command line."""

from __future__ import annotations

import click

from ouchi.machine.program import as_started


def echo(text: str, *, err: bool = False) -> None:
    """Print a line for people; commands in it can be pasted (:func:`~ouchi.machine.program.as_started`)."""
    click.echo(as_started(text), err=err)


def write_output(path: str, text: str, done: str) -> None:
    """Write it, and print ``done`` with its path. Raises :class:`~ouchi.core.errors.BadInput` when that fails."""
    from ouchi.core.errors import BadInput
    from ouchi.machine.local import LocalMachine

    machine = LocalMachine()
    try:
        machine.write_output(machine.absolute(path), text)
    except BrokenPipeError:
        raise
    except OSError as reason:
        raise BadInput.of(
            "the file cannot be written",
            where=path,
            found=reason.strerror or str(reason),
            expected="a file in a folder of yours",
            remedy="the same command with another name",
        ) from None
    click.echo(f"{done}: {path}", err=True)
