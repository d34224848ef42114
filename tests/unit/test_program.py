"""Commands in messages can be pasted, however ouchi was started."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ouchi
from ouchi.cli import _commands
from ouchi.machine import program
from ouchi.machine.program import COMMANDS, as_started

SRC = Path(ouchi.__file__).parents[1]
CONSOLE_SCRIPT = "import sys\nfrom ouchi.cli import main\nsys.exit(main())\n"
HINT = re.compile(r"(?<![\w./-])(?:sudo )?ouchi (?:" + "|".join(COMMANDS) + r")\b")


def strings() -> list[str]:
    """Every text of the package that quotes a command."""
    return [
        node.value
        for path in sorted(SRC.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and HINT.search(node.value)
    ]


HINTS = strings()


def test_the_commands_are_those_of_the_command_line() -> None:
    assert sorted(COMMANDS) == sorted(_commands.list_commands(click.Context(_commands)))


@given(st.sampled_from(HINTS), st.sampled_from(["./ouchi", "../x y/ouchi", "python3 -m ouchi"]))
def test_every_quoted_command_gets_the_name_once(text: str, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "program", lambda: name)
        patch.setattr(program, "as_root", lambda: f"sudo {name}")
        shown = as_started(text)
        assert not HINT.search(shown.replace(name, "NAME"))
        assert shown.count(name) == len(HINT.findall(text))
        assert shown.replace(name, "ouchi") == text
        assert as_started(shown) == shown, "what is shown may pass twice"


@pytest.mark.parametrize(
    "text",
    [
        "ouchi is up",
        "ouchi up's",
        "./ouchi up",
        "run ouchi on",
        "ouchi uptime",
        "my-ouchi up",
        "ouchi up, process 7",
        "ouchi rig up, process 7",
    ],
)
def test_prose_and_paths_stay(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "program", lambda: "NAME")
    assert as_started(text) == (text if text != "ouchi up's" else "NAME up's")


def test_no_hint_is_printed_around_it() -> None:
    """Commands print texts with hints by ``cli.output.echo``; ``click.echo`` is for JSON and files."""
    found = [
        f"{path.name}:{call.lineno}"
        for path in sorted((SRC / "ouchi" / "cli").glob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "click.echo"
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and HINT.search(part.value)
    ]
    assert found == []


def started(argv: list[str], cwd: Path, **env: str) -> str:
    """The command that ``ouchi status`` names next."""
    done = subprocess.run(
        [*argv, "schema", "nothing"],
        env={**os.environ, "PYTHONPATH": str(SRC), **env},
        cwd=cwd, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    found = re.search(r"^Try '(.*) schema --help' for help", done.stderr, re.MULTILINE)
    assert found, done.stderr
    return found[1]


def script(folder: Path) -> Path:
    path = folder / "ouchi"
    path.write_text(f"#!{sys.executable}\n{CONSOLE_SCRIPT}")
    path.chmod(0o755)
    return path


class TestNames:
    def test_the_launchers_own(self, tmp_path: Path) -> None:
        path = script(tmp_path)
        for name in ("./ouchi", str(path), "../it/ouchi"):
            assert started([sys.executable, "-X", f"ouchi={name}", "-m", "ouchi"], tmp_path) == name

    def test_a_module_with_pythons_options(self, tmp_path: Path) -> None:
        assert started([sys.executable, "-B", "-m", "ouchi"], tmp_path) == f"{sys.executable} -B -m ouchi"

    def test_a_program_on_the_path_is_named_alone(self, tmp_path: Path) -> None:
        path = script(tmp_path)
        assert started([str(path)], tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}") == "ouchi"

    def test_a_program_elsewhere_by_its_path(self, tmp_path: Path) -> None:
        """Also one that ``uvx`` runs, which is on the path of that process alone."""
        folder = tmp_path / "a folder"
        folder.mkdir()
        path = script(folder)
        assert started([str(path)], tmp_path) == f"'{path}'"
        assert started([str(path)], tmp_path, PATH=f"{folder}:{os.environ['PATH']}", UV="/usr/bin/uv") == f"'{path}'"

    def test_another_ouchi_on_the_path_is_not_this_one(self, tmp_path: Path) -> None:
        for name in ("this", "that"):
            (tmp_path / name).mkdir()
        mine = script(tmp_path / "this")
        script(tmp_path / "that")
        assert started([str(mine)], tmp_path, PATH=f"{tmp_path}/that:{os.environ['PATH']}") == str(mine)


def test_sudo_finds_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sudo ouchi`` would search ``secure_path`` alone."""
    path = script(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", [str(path)])
    for cached in (program.program, program.as_root):
        cached.cache_clear()
    try:
        assert as_started("sudo ouchi doctor, then: ouchi up") == f"sudo {path} doctor, then: ouchi up"
    finally:
        for cached in (program.program, program.as_root):
            cached.cache_clear()


def test_json_has_the_plain_name(tmp_path: Path) -> None:
    """What programs read does not depend on how ouchi was started."""
    argv = [sys.executable, "-X", "ouchi=./ouchi", "-m", "ouchi", "status", "--json"]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": str(SRC)}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)
    assert "./ouchi" not in done.stdout
