"""The name under which the user started ouchi, so that the commands in messages can be pasted.

Messages, findings and ``--json`` name commands as ``ouchi COMMAND``, ``sudo ouchi COMMAND`` where root reads more. What is
shown to people passes :func:`as_started`, which puts the present name in place of ``ouchi``: ``./ouchi`` in a checkout,
``ouchi`` where a package has put it on the path, ``python3 -m ouchi`` where that was typed. Commands that need root
become root themselves, so they have no sudo.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import cache

COMMANDS = (
    "up", "down", "apply", "undo", "inspect", "plan", "render", "status", "doctor", "top", "metrics", "logs", "console",
    "openstack", "env", "support-bundle", "bench", "report", "rig", "schema", "completion", "help", "version",
)  # fmt: skip
LAUNCHER = "ouchi"
"""The launcher's option for Python, ``-X ouchi=NAME``: sudo keeps it, unlike a variable."""

SECURE_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where sudo finds programs, whatever the user's PATH has (``secure_path`` of sudoers in Debian and Ubuntu)."""


def as_started(text: str) -> str:
    """The text with each ``ouchi COMMAND`` in it as the user would type it here."""
    return _calls().sub(lambda call: as_root() if call[1] else program(), text)


@cache
def program() -> str:
    """The words that start ouchi, quoted for a shell; ``ouchi`` where nothing is known, as inside other programs."""
    return _words(False)


@cache
def as_root() -> str:
    """The words that start ouchi as root: with sudo and a path that sudo finds, unless this process is root's."""
    return program() if os.geteuid() == 0 else f"sudo {_words(True)}"


def _words(root: bool) -> str:
    started = sys._xoptions.get(LAUNCHER)  # noqa: SLF001  # the documented way to read -X
    if isinstance(started, str):
        return _file(started if "/" in started else f"./{started}", root)
    if os.path.basename(sys.argv[0]) == "__main__.py" and sys.orig_argv[-len(sys.argv) :][1:] == sys.argv[1:]:
        return _module(sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1], root)
    return _file(sys.argv[0], root) if os.path.basename(sys.argv[0]) == "ouchi" else "ouchi"


def _module(words: Sequence[str], root: bool) -> str:
    """``python -m ouchi``, with the options that were given to Python."""
    if words[-1] != "ouchi":
        return "ouchi"
    return _quoted([sys.executable if root else words[0], *words[1:]])


def _file(path: str, root: bool) -> str:
    """A program by its name alone where the shell, or sudo, finds that very file; otherwise by its path."""
    # uv puts a program that it runs for once on the path of this process, and not on the user's.
    folders = SECURE_PATH if root else () if "UV" in os.environ else os.get_exec_path()
    found = next((file for folder in folders if os.access(file := f"{folder}/ouchi", os.X_OK)), "")
    same = bool(found) and os.path.exists(path) and os.path.samefile(found, path)
    return "ouchi" if same and os.path.basename(path) == "ouchi" else _quoted([path])


def _quoted(words: Sequence[str]) -> str:
    from shlex import join

    return join(words)


@cache
def _calls() -> re.Pattern[str]:
    # Not the name of a process that holds a lock.
    return re.compile(
        rf"(?<![\w./-])(?<!-m )(sudo )?ouchi(?=\s+(?:{'|'.join(COMMANDS)})(?![\w-])(?!(?: [a-z]+)?, process))"
    )
