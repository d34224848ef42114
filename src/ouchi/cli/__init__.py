"""The command line: the table of commands, error messages and exit statuses.

Each command has a file of its own, ``ouchi.cli.NAME``, with a click command called ``command``. Commands raise
:class:`~ouchi.core.errors.OuchiError`, or call ``ctx.exit(status)`` for another exit status than 0; errors are printed
here.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile
from typing import TextIO, cast

import click

from ouchi import __version__
from ouchi.cli.lazy import LazyGroup
from ouchi.core.errors import BadInput, Failed, Finding, Interrupted, OuchiError, Severity, error
from ouchi.core.printable import PrintableStream
from ouchi.core.wrap import wrapped
from ouchi.machine.program import as_started, program

DEBUG = "OUCHI_DEBUG"
"""The environment variable that turns the command log on: ``1`` as ``--debug``, otherwise a file to append to."""

EPILOG = """Without a site file, up writes ouchi.yaml for this machine first. Run ouchi COMMAND --help for the options
of a command. Exit status: 0 success, 1 unhealthy or not as planned, 2 bad input, nothing changed, 3 failed,
4 warnings only (doctor), 130 interrupted."""

_commands = LazyGroup(
    name="ouchi",
    sections={
        "Build": {
            "up": "Turn this machine into an NFV host: OVS-DPDK, OpenStack, pinned VMs.",
            "down": "Stop everything and restore the machine.",
            "apply": "Configure the machine itself: boot, CPUs, NICs, services.",
            "undo": "Revert everything that apply and doctor --fix changed.",
        },
        "Inspect and plan": {
            "inspect": "Show the hardware: CPUs, memory, NICs, kernel.",
            "plan": "Show how CPUs, memory and NICs are allocated, and why.",
            "render": "Write the plan as configuration for other tools.",
        },
        "Operate": {
            "status": "Show the state of every service, and what differs from the plan.",
            "doctor": "Find what causes packet loss, explain it, and fix it with --fix.",
            "top": "Show the load of PMD threads, ports and guests, again and again.",
            "metrics": "Serve this host's state to Prometheus.",
            "logs": "Show a service's log.",
            "console": "Open a server's serial console.",
            "openstack": "Run the OpenStack client against this cloud.",
            "env": "Print shell variables for OpenStack, OVS and libvirt clients.",
            "support-bundle": "Collect what a bug report needs in one redacted archive.",
        },
        "Measure": {
            "bench": "Measure throughput without loss, and latency, with DPDK.",
            "report": "Show a benchmark run as tables, or write it as an HTML page.",
        },
        "Test": {
            "rig": "Run a virtual server with SMT, IOMMU and SR-IOV for tests.",
        },
        "Tools": {
            "schema": "Print the JSON Schema of the site file or of a --json output.",
            "completion": "Print a completion script for bash, zsh or fish.",
            "help": "Show the help of ouchi or of a command.",
            "version": "Show the version.",
        },
    },
    help="Turn ordinary hardware into an NFV host that can prove itself.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(__version__, prog_name="ouchi", message="%(prog)s %(version)s")(_commands)
click.option(
    "--debug", is_flag=True, help="Log every command that ouchi runs to stderr, or with OUCHI_DEBUG=FILE to FILE."
)(_commands)


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit status; errors are printed."""
    if sys.stdout is None or sys.stderr is None:
        from ouchi.machine.own_process import replace_closed_streams

        replace_closed_streams()
    # Whatever comes from other users, hosts and files: nothing that a terminal obeys passes.
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", PrintableStream(stream)) for stream in streams)
    try:
        status = _main()
    finally:
        sys.stdout, sys.stderr = streams
    if status == Interrupted.status:
        # A second Ctrl-C while Python ends would kill the process and hide the exit status.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return status


def _main() -> int:
    try:
        status = _run(sys.argv[1:])
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as mistake:
        mistake.show()
        _print_json(mistake.exit_code, error(mistake.format_message()))
        return mistake.exit_code
    except OuchiError as reason:
        show(*reason.findings)
        _print_json(reason.status, *reason.findings)
        return reason.status
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; run the same command again to continue", err=True)
        return Interrupted.status
    except BrokenPipeError as reason:
        return _pipe_closed(reason)
    except OSError as reason:
        return _system_error(reason)
    except Exception as bug:  # noqa: BLE001  # the last resort: users see no traceback
        return _report_bug(bug)
    return status


def show(*findings: Finding) -> None:
    """Print findings on standard error, in colour on a terminal unless NO_COLOR is set."""
    colours = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
    terminal = sys.stderr.isatty()
    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    for finding in findings:
        text = as_started(str(finding))
        severity, rest = (wrapped(text, _columns()) if terminal else text).split(":", 1)
        if not plain:
            severity = click.style(severity, fg=colours[finding.severity], bold=True)
        click.echo(f"{severity}:{rest}", err=True, color=not plain)


def _print_json(status: int, *findings: Finding) -> None:
    """With ``--json``, print the errors on standard output too, where a program expects JSON (``ouchi schema error``)."""
    words = list(takewhile(lambda word: word != "--", sys.argv[1:]))
    if "--json" not in words or "openstack" in words:
        return
    import json

    document = {"schema": 1, "status": status, "findings": [finding.to_json() for finding in findings]}
    click.echo(json.dumps(document, indent=2))


def _columns() -> int:
    """The width of the terminal that is standard error."""
    from ouchi.machine.own_process import columns

    return columns(sys.stderr)


def _run(words: list[str]) -> int:
    # Not click's own main(), which turns a broken pipe into exit status 1: here that means "not as planned".
    if instruction := os.environ.get("_OUCHI_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(_commands, {}, "ouchi", "_OUCHI_COMPLETE", instruction)
    with _commands.make_context(program(), words) as context, _command_log():
        _commands.invoke(context)
    return 0


def _debugging() -> bool:
    """True with ``--debug`` before the command, or with OUCHI_DEBUG."""
    options = takewhile(lambda word: word.startswith("-"), sys.argv[1:])
    return os.environ.get(DEBUG, "0") not in ("", "0") or "--debug" in options


def _command_log() -> AbstractContextManager[None]:
    """The command log, on standard error unless OUCHI_DEBUG names a file; nothing when it is off."""
    if not _debugging():
        return nullcontext()
    from ouchi.core.instance import Instance
    from ouchi.machine.command_log import logging

    setting = os.environ.get(DEBUG, "")
    return logging("" if setting in ("0", "1") else setting, f"{Instance().state}/secrets.json")


def _pipe_closed(reason: BrokenPipeError) -> int:
    """Return the exit status of a program that SIGPIPE ended, unless nobody has closed the output: that is a bug."""
    from ouchi.machine.own_process import discard, reader_gone

    if not (reader_gone(sys.stdout) or reader_gone(sys.stderr)):
        return _report_bug(reason)
    discard(sys.stdout)  # makes the interpreter's final flush harmless
    return 141


def _system_error(reason: OSError) -> int:
    """The exit status for a full disk or output, and for a file that the user may not read; all others are bugs."""
    if isinstance(reason, PermissionError) and reason.filename and os.geteuid() != 0:
        denied = error(
            "a file cannot be read or written",
            where=str(reason.filename),
            found=reason.strerror or str(reason),
            expected="root, or a user who has the right to it",
            remedy="run the same command with sudo",
        )
        show(denied)
        _print_json(BadInput.status, denied)
        return BadInput.status
    if reason.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return _report_bug(reason)
    from ouchi.machine.own_process import discard

    show(
        error(
            "there is no room for what ouchi writes",
            where=str(reason.filename or "its output"),
            found=reason.strerror or str(reason),
            expected="room on the file system",
            remedy="make room (df -h shows where), then the same command again",
        )
    )
    discard(sys.stdout)
    return Failed.status


def _report_bug(bug: Exception) -> int:
    from traceback import format_exception

    text = "".join(format_exception(bug))
    if _debugging():
        click.echo(text, err=True, nl=False)
        return 3
    from ouchi.machine.own_process import save_traceback

    summary = f"{type(bug).__name__}: {bug}".splitlines()[0][:200]
    try:
        where = f"traceback in {save_traceback(text)}"
    except OSError:
        where = f"{program()} --debug shows the traceback"
    click.echo(f"ouchi: this is a bug in ouchi ({summary}); {where}", err=True)
    return 3
