"""Only ``ouchi.machine`` starts processes and opens files of the host.

Read from the source, so that it holds for code that no test runs.
"""

from __future__ import annotations

import ast
import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Modules that reach the host -> the names in them that do not. All others are for ouchi.machine alone.
HARMLESS: dict[str, frozenset[str]] = {
    "asyncio.subprocess": frozenset(),
    "codecs": frozenset({"decode", "encode"}),
    "ctypes": frozenset(),
    "fcntl": frozenset(),
    "fileinput": frozenset(),
    "glob": frozenset(),
    "io": frozenset({"BytesIO", "StringIO", "TextIOWrapper"}),
    "linecache": frozenset(),
    "mmap": frozenset(),
    "multiprocessing": frozenset(),
    "os": frozenset(
        {"environ", "fsdecode", "fsencode", "fspath", "getenv", "geteuid", "getpid", "getuid", "linesep", "sep"}
        | {"PathLike", "strerror"}
    ),
    "os.path": frozenset({"basename", "commonpath", "dirname", "isabs", "join", "normpath", "split", "splitext"}),
    "pathlib": frozenset({"PurePath", "PurePosixPath"}),
    "posix": frozenset(),
    "pty": frozenset(),
    "shutil": frozenset({"get_terminal_size"}),
    "subprocess": frozenset(),
    "tempfile": frozenset(),
}
PROCESSES = frozenset(
    {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "concurrent.futures.ProcessPoolExecutor"}
)
BUILTINS = frozenset({"open", "__import__", "exec", "eval"})

# File, relative to src/ouchi -> the names it may use all the same. A reason stands beside each.
EXCEPTIONS: dict[str, frozenset[str]] = {}

PACKAGE = Path(str(importlib.resources.files("ouchi")))
SOURCES = sorted(
    str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if "machine" not in path.relative_to(PACKAGE).parts
)


@dataclass(frozen=True)
class Use:
    """A name that reaches the host, and the line that uses it."""

    line: int
    name: str


def uses(source: str) -> Iterator[Use]:
    """Every use of a name that is for ouchi.machine alone, under any imported name."""
    tree = ast.parse(source)
    bound = dict(_bindings(tree))
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (Use(node.lineno, f"{node.module}.{name.name}") for name in node.names if _behind(node, name))
        elif isinstance(node, ast.Import):
            yield from (Use(node.lineno, name.name) for name in node.names if not HARMLESS.get(name.name, {""}))
        elif isinstance(node, ast.Attribute) and id(node) not in inner:
            if (name := _dotted(node, bound)) and _reaches_host(name):
                yield Use(node.lineno, name)
        elif isinstance(node, ast.Name) and node.id in BUILTINS and node.id not in bound:
            yield Use(node.lineno, node.id)


def _bindings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Local name -> what it stands for, for all imports of modules and of names from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield (name.asname, name.name) if name.asname else (name.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                yield name.asname or name.name, f"{node.module}.{name.name}"


def _behind(node: ast.ImportFrom, name: ast.alias) -> bool:
    full = f"{node.module}.{name.name}"
    return (name.name == "*" and str(node.module) in HARMLESS) or (full not in HARMLESS and _reaches_host(full))


def _dotted(node: ast.expr, bound: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, bound)
        return f"{base}.{node.attr}" if base else ""
    return bound.get(node.id, "") if isinstance(node, ast.Name) else ""


def _reaches_host(name: str) -> bool:
    """True when the longest known module in a dotted name does not list what follows as harmless."""
    if name in PROCESSES:
        return True
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        if (harmless := HARMLESS.get(".".join(parts[:count]))) is not None:
            return parts[count] not in harmless and ".".join(parts[: count + 1]) not in HARMLESS
    return False


@pytest.mark.parametrize("file", SOURCES)
def test_only_the_machine_touches_the_host(file: str) -> None:
    allowed = EXCEPTIONS.get(file, frozenset())
    found = [use for use in uses((PACKAGE / file).read_text(encoding="utf-8")) if use.name not in allowed]
    assert not found, "\n".join(
        f"src/ouchi/{file}:{use.line}: {use.name} belongs behind ouchi.machine" for use in found
    )


def test_every_exception_is_needed() -> None:
    for file, names in EXCEPTIONS.items():
        assert names == {use.name for use in uses((PACKAGE / file).read_text(encoding="utf-8"))} & names, file


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import subprocess", "subprocess"),
        ("from subprocess import run as r", "subprocess.run"),
        ("import os as o\no.system('x')", "os.system"),
        ("from os import kill", "os.kill"),
        ("from os import path as p\np.exists('/x')", "os.path.exists"),
        ("import os.path\nos.path.getsize('/x')", "os.path.getsize"),
        ("from os.path import isfile", "os.path.isfile"),
        ("from pathlib import Path", "pathlib.Path"),
        ("import pathlib\npathlib.Path('/x').read_text()", "pathlib.Path"),
        ("import shutil\nshutil.rmtree('/x')", "shutil.rmtree"),
        ("def f():\n    import tempfile", "tempfile"),
        ("import asyncio\nasyncio.subprocess.PIPE", "asyncio.subprocess.PIPE"),
        ("import asyncio\nasyncio.create_subprocess_exec('x')", "asyncio.create_subprocess_exec"),
        ("with open('/x') as file: pass", "open"),
        ("import io\nio.open('/x')", "io.open"),
        ("from os import *", "os.*"),
    ],
)
def test_the_rule_sees(source: str, name: str) -> None:
    assert name in {use.name for use in uses(source)}


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ.get('X')",
        "import os\nos.path.join('a', 'b')",
        "from os.path import join",
        "from pathlib import PurePosixPath",
        "from ouchi.machine import Path\nPath",
        "import io\nio.StringIO()",
        "import importlib.resources\nimportlib.resources.files('ouchi').joinpath('x').read_text()",
        "machine.open('/x')",
        "machine.run(['true'])",
    ],
)
def test_the_rule_lets_pass(source: str) -> None:
    assert list(uses(source)) == []


# Files outside ouchi.cli that may choose the machine and the instance -> why.
DECIDERS = {
    "rig/keeper.py": "a process of its own, with a command line of its own",
    "steps/refresh.py": "the text of a script that is installed on the host names the folder",
}


def decisions(source: str) -> set[str]:
    """``LocalMachine`` (any use) and ``Instance()`` without arguments: the choice of this machine, and of the defaults."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.alias) and node.name == "LocalMachine":
            found.add("LocalMachine")
        elif isinstance(node, ast.Call) and not node.args and not node.keywords:
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            found |= {"Instance()"} if name == "Instance" else set()
    return found


@pytest.mark.parametrize("file", [file for file in SOURCES if not file.startswith("cli/")])
def test_machine_and_instance_are_parameters(file: str) -> None:
    """So that all of it can work on another host, or beside another installation."""
    found = decisions((PACKAGE / file).read_text(encoding="utf-8"))
    assert bool(found) is (file in DECIDERS), f"{file}: {', '.join(found)} belongs into ouchi.cli"


def test_decisions_are_seen() -> None:
    source = (
        "from ouchi.machine.local import LocalMachine\nx = Instance()\ny = instance.Instance()\nz = Instance(run='/x')"
    )
    assert decisions(source) == {"LocalMachine", "Instance()"}
    assert decisions("def f(machine: Machine, instance: Instance): Instance(run='/x')") == set()
