"""What a shell completes, and what is offered for a misspelt value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ouchi
from ouchi.cli.choice import nearest

ROOT = Path(__file__).parents[2]
SRC = Path(ouchi.__file__).parents[1]


def completed(*words: str) -> set[str]:
    """The completions of the last word."""
    requested = {"_OUCHI_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = ouchi_process(env=requested)
    assert (done.returncode, done.stderr) == (0, "")
    return {line.partition(",")[2] for line in done.stdout.split()}


def ouchi_process(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ouchi", *words],
        env={**os.environ, "PYTHONPATH": str(SRC), **(env or {})},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ouchi render --to kol", {"kolla-ansible"}),
        ("ouchi plan --choose c", {"capacity", "cache"}),
        ("ouchi up --until clo", {"cloud"}),
        ("ouchi bench --goal n", {"ndr"}),
        ("ouchi bench --also so", {"soak"}),
        ("ouchi help inspe", {"inspect"}),
        ("ouchi rig sn", {"snapshot"}),
        (f"./ouchi plan --site {ROOT}/examples/sites.yaml --host sh", {"shop"}),
        (f"./ouchi doctor --site {ROOT}/nothing.yaml --host sh", set()),
    ],
)
def test_values(words: str, expected: set[str]) -> None:
    assert completed(*words.split()) == expected


def test_services_and_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a host that is not up: the services that may have a log, the servers of the site file."""
    monkeypatch.setenv("OUCHI_SITE", str(ROOT / "examples" / "home.yaml"))
    assert completed("ouchi", "logs", "nova-c") >= {"nova-compute"}
    assert completed("ouchi", "console", "") >= {"forwarder"}


@pytest.mark.parametrize(
    ("words", "meant"),
    [("render --to kolla", "kolla-ansible"), ("plan --choose cahe", "cache"), ("schema sites", "site")],
)
def test_a_misspelt_value(words: str, meant: str) -> None:
    done = ouchi_process(*words.split())
    assert done.returncode == 2
    assert f"Did you mean '{meant}'?" in done.stderr


@pytest.mark.parametrize(("value", "expected"), [("forwader", "forwarder"), ("end", "endpoint"), ("zzz", ""), ("", "")])
def test_the_nearest_name(value: str, expected: str) -> None:
    assert nearest(value, ["endpoint", "forwarder"]) == expected


def test_bash_asks_the_program_that_was_typed(tmp_path: Path) -> None:
    """``./ouchi`` and ``~/ouchi``, which are on no path."""
    (tmp_path / "ouchi").write_text('#!/bin/sh\necho "plain,status$COMP_CWORD"\n')
    (tmp_path / "ouchi").chmod(0o755)
    (tmp_path / "script").write_text(ouchi_process("completion", "bash").stdout)
    for name in ("./ouchi", "~/ouchi"):
        program = f'. ./script; COMP_WORDS=({name} st) COMP_CWORD=1; _ouchi_completion "{name}"; echo "$COMPREPLY"'
        done = subprocess.run(
            ["bash", "-c", program], cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("status1\n", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_do_too(shell: str) -> None:
    """Run in these shells by ``tests/real/test_install.py``."""
    script = ouchi_process("completion", shell).stdout
    assert "_complete ouchi" not in script
    assert "commandline -t) ouchi" not in script
    assert "$+commands" not in script


def test_completion_installs_nothing(tmp_path: Path) -> None:
    """The launcher of a fresh checkout."""
    for name in ("ouchi", "requirements.lock", "tools/environment.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        ["sh", str(tmp_path / "ouchi")], env={**os.environ, "_OUCHI_COMPLETE": "bash_complete"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / ".venv").exists()
