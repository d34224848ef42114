"""Nothing of others reaches a terminal as it is: one escape through each way out."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from ouchi import cli
from ouchi.core.errors import BadInput, warning
from ouchi.core.events import EventKind, Timeline
from ouchi.core.printable import PrintableStream, printable
from ouchi.machine.local import LocalMachine
from ouchi.machine.ssh import unreachable
from ouchi.report.page import FindingText, PrintableConsole, page, plain_table
from ouchi.report.terminal import Progress

ESCAPE = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\x1b[31m\x9b31m\r\x7f\u202e"
CASES = {
    "": "",
    "plain ü 漢字": "plain ü 漢字",
    "a\tb\n": "a\tb\n",
    ESCAPE: "·]52;c;cm0gLXJm··[2J·[31m·31m···",
}
SOURCE = Path(cli.__file__).parents[2]


def controls(text: str) -> set[str]:
    return {letter for letter in text if not letter.isprintable()} - {"\n", "\t"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("text", CASES)
def test_cases(text: str) -> None:
    assert printable(text) == CASES[text]


@given(st.text())
def test_any_text_keeps_its_length_and_is_printable_once(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert printable(shown) == shown
    assert "\x1b" not in shown
    styled = printable(text, styles=True)
    assert printable(styled, styles=True) == styled


def test_styles_pass_a_terminal_and_nothing_else_does() -> None:
    for stream, expected in (
        (Terminal(), f"\x1b[1;31merror\x1b[0m {CASES[ESCAPE]}"),
        (io.StringIO(), "·[1;31merror·[0m "),
    ):
        plain = PrintableStream(stream)
        assert plain.write(f"\x1b[1;31merror\x1b[0m {ESCAPE}") > 0
        plain.writelines(["a\n", "\x1b]"])
        plain.flush()
        shown = stream.getvalue()
        assert "\x1b]" not in shown
        assert shown.replace("\x1b[31m", "·[31m").startswith(expected)


def written(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """What the command line writes on both streams, where its command is ``action``."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(cli, "_run", lambda _words: action())
    cli.main()
    assert (sys.stdout, sys.stderr) == (out, err)
    return out.getvalue(), err.getvalue()


def refused() -> None:
    raise BadInput.of(ESCAPE, where=ESCAPE, found=ESCAPE, expected=ESCAPE, remedy=ESCAPE)


def bug() -> None:
    raise RuntimeError(ESCAPE)


WAYS: dict[str, Callable[[], object]] = {
    "a line": lambda: click.echo(ESCAPE) or 0,
    "a line on stderr": lambda: click.echo(ESCAPE, err=True) or 0,
    "print": lambda: print(ESCAPE) or 0,
    "a finding": refused,
    "a bug": bug,
    "a mistake": lambda: (_ for _ in ()).throw(click.UsageError(ESCAPE)),
    "a page": lambda: click.echo(page(Text(ESCAPE), ESCAPE)) or 0,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("debug", ["0", "1"])
def test_ways_out(way: str, debug: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # for the traceback of the bug
    monkeypatch.setenv("OUCHI_DEBUG", debug)
    monkeypatch.setattr(sys, "argv", ["ouchi"])
    out, err = written(WAYS[way], monkeypatch)
    assert "cm0gLXJm" in out + err
    assert controls(out + err) == set()


def test_errors_as_json_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ouchi", "plan", "--json"])
    out, _ = written(refused, monkeypatch)
    assert controls(out) == set()
    assert json.loads(out)["findings"][0]["where"] == CASES[ESCAPE]


@pytest.mark.parametrize("colour", [False, True])
def test_pages(colour: bool) -> None:
    """With colour the only escapes are rich's own styles, which the text cannot forge."""
    table = plain_table()
    table.add_column(ESCAPE)
    table.add_row(Text(ESCAPE, style="red"))
    shown = page(ESCAPE, table, FindingText(warning(ESCAPE)), width=300, colour=colour)
    assert shown.count("52;c;cm0gLXJm") == 4
    for forged in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\r", "\x7f", "\u202e"):
        assert forged not in shown
    assert colour or controls(shown) == set()


@pytest.mark.parametrize("terminal", [False, True])
def test_progress(terminal: bool) -> None:
    stream = io.StringIO()
    with Progress(PrintableConsole(file=stream, force_terminal=terminal, width=200)) as progress:
        timeline = Timeline(progress)
        for kind in EventKind:
            timeline.emit(kind, "stage", ESCAPE, f"{kind} {ESCAPE}")
    shown = stream.getvalue()
    assert shown.count("cm0gLXJm") >= 5
    for forged in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\u202e"):
        assert forged not in shown
    assert terminal or controls(shown) == set()


def test_ssh_messages() -> None:
    assert controls(unreachable._shown(f"{ESCAPE}\nbanner {ESCAPE}\r\n")) == set()


def test_lines_of_a_log_as_they_come(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(f"one\n{ESCAPE}\n".encode() + b"\xff\nlast\n")
    assert list(LocalMachine().lines(("tail", "-n", "9", "--", str(log)))) == ["one", ESCAPE, "\ufffd", "last"]
    following = LocalMachine().lines(("tail", "-n", "1", "-F", "--", str(log)))
    assert next(following) == "last"
    following.close()  # type: ignore[attr-defined]  # which ends tail


def test_a_real_terminal(tmp_path: Path) -> None:
    """A file name with an escape, as a user types or completes it, on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-P", "-m", "ouchi", "plan", "--site", f"{tmp_path}/{ESCAPE}.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm-256color", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 1 << 16)
            except OSError:  # all have closed it
                break
    os.close(ours)
    text = shown.decode()
    assert "\x1b[" in text, "ouchi's own colours"
    for forged in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\u202e"):
        assert forged not in text


def test_the_stream_is_the_stream() -> None:
    stream = Terminal()
    plain = cast("TextIO", PrintableStream(stream))
    assert plain.isatty()
    assert plain.encoding == stream.encoding
