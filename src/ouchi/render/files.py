"""A rendered file, and how each kind of file says what it is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from ouchi.plan.target import Target
from ouchi.render.ini import Sections, ini_text

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

MARK = "Made by ouchi from the plan"
"""What a file is known by as one that may be written again."""

_HOST = re.compile(f'{MARK} ".*" of (.*)\\.$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A file: its path below its target's folder (where it goes on the host, without the leading slash), text, mode."""

    path: str
    text: str
    mode: int = 0o644


def made_by(target: Target, *remarks: str) -> tuple[str, ...]:
    """Return the first lines of every file: who wrote it, where it goes, and remarks."""
    return (f'{MARK} "{target.plan.name}" of {target.site.name}.', *remarks)


def ours(text: str) -> bool:
    """True for the text of a file that was rendered, also by another version or from another plan."""
    return MARK in text[:1000]


def host_of(text: str) -> str:
    """The host, or hosts, that a rendered file is for; empty where that is not known."""
    found = _HOST.search(text[:1000])
    return found[1] if found else ""


def comment(lines: Iterable[str]) -> str:
    """Lines as a comment of the kind that shells, INI files, YAML and systemd share; no text of others ends a line."""
    return "".join(f"# {_CONTROL.sub(' ', line)}\n" for line in lines)


def text_file(target: Target, path: str, lines: Iterable[str], *remarks: str) -> Rendered:
    """A file of plain lines that goes to ``/path``."""
    body = "".join(f"{line}\n" for line in lines)
    return Rendered(path, comment(made_by(target, f"Goes to /{path}.", *remarks)) + body)


def ini_file(target: Target, path: str, sections: Sections, *remarks: str) -> Rendered:
    """A file of sections and keys; the first line of the services' own files gives way to ours."""
    return Rendered(path, comment(made_by(target, *remarks)) + ini_text(sections).partition("\n")[2])


def script(target: Target, path: str, lines: Iterable[str], *remarks: str) -> Rendered:
    """A POSIX shell script that stops at the first command that fails."""
    head = "#!/bin/sh\n" + comment(made_by(target, *remarks)) + "set -eu\n\n"
    return Rendered(path, head + "".join(f"{line}\n" for line in lines), 0o755)


def words(*argv: str) -> str:
    """A command with every word quoted for the shell."""
    return shlex.join(argv)
