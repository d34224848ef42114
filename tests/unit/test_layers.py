"""The shape of the source: layers, and no circle of imports in the package or of includes in the generator."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from importlinter import cli

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
GENERATOR = ROOT / "generator" / "src"

INCLUDE = re.compile(r'^#include "(\w+)\.h"', re.MULTILINE)

Graph = Mapping[str, set[str]]


def test_layers_import_only_from_below(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The contract is in ``pyproject.toml``; ``lint-imports`` prints the same."""
    monkeypatch.chdir(ROOT)
    status = cli.lint_imports(no_cache=True, is_debug_mode=False)
    assert status == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_no_circle_of_imports() -> None:
    assert circle(imports(SOURCES)) == []


def test_no_circle_of_includes() -> None:
    assert circle(includes(GENERATOR)) == []


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c"]),
        ({"a": {"b"}, "b": {"elsewhere"}}, []),
    ],
)
def test_a_circle_is_found(graph: Graph, expected: list[str]) -> None:
    assert circle(graph) == expected


def test_imports_inside_functions_count(tmp_path: Path) -> None:
    room = tmp_path / "ouchi" / "room"
    room.mkdir(parents=True)
    (room / "__init__.py").write_text("")
    (room / "a.py").write_text("from ouchi.room import b\n")
    (room / "b.py").write_text("def run():\n    from ouchi.room.a import name\n    return name\n")
    assert circle(imports(tmp_path)) == ["ouchi.room.a", "ouchi.room.b"]


def imports(folder: Path) -> dict[str, set[str]]:
    """Each module of a source folder with the modules that it imports, also inside functions, but not only for types."""
    files = {_module(path.relative_to(folder)): path for path in folder.rglob("*.py")}
    return {
        name: {found for found in _imported(path, files) if found != name and not name.startswith(f"{found}.")}
        for name, path in files.items()
    }


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    for_types = {id(inner) for guard in guards for inner in guard.body}
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in known or node.module in known:
                    yield name if name in known else node.module


def includes(folder: Path) -> dict[str, set[str]]:
    """Each unit (a ``.c`` file and its ``.h``) with the units whose headers it includes."""
    found: dict[str, set[str]] = {}
    for path in (*folder.glob("*.c"), *folder.glob("*.h")):
        names = set(INCLUDE.findall(path.read_text(encoding="utf-8")))
        found.setdefault(path.stem, set()).update(names - {path.stem})
    return found


def circle(graph: Graph) -> list[str]:
    """Return the names of the first circle found, sorted; empty when there is none."""
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> list[str]:
        if name in path:
            return sorted(path[path.index(name) :])
        if name in done or name not in graph:
            return []
        for other in sorted(graph[name]):
            if found := walk(other, (*path, name)):
                return found
        done.add(name)
        return []

    return next(filter(None, (walk(name, ()) for name in sorted(graph))), [])
