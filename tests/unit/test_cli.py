"""How the command line starts, and how it ends whatever happens inside a command."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import resource
import signal
import stat
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

import ouchi
from ouchi.cli import _commands, bench, main
from ouchi.cli.planned import STYLES
from ouchi.core.errors import BadInput, Failed, Unhealthy, error, warning
from ouchi.machine import privilege
from ouchi.measure.paths.path import PATHS
from ouchi.measure.search.goals import NAMED_GOALS
from ouchi.plan import Style

SRC = Path(ouchi.__file__).parents[1]
NAMES = [
    "up",
    "down",
    "apply",
    "undo",
    "inspect",
    "plan",
    "render",
    "status",
    "doctor",
    "top",
    "metrics",
    "logs",
    "console",
    "openstack",
    "env",
    "support-bundle",
    "bench",
    "report",
    "rig",
    "schema",
    "completion",
    "help",
    "version",
]

Ouchi = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ouchi]:
    """Run ``ouchi WORDS...`` in this process; its exit status."""
    before = signal.getsignal(signal.SIGINT)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["ouchi", *words])
        return main()

    yield run
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def status_does(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Let ``ouchi status`` be something else for a while."""

    def replace(does: Callable[[], None]) -> None:
        module = types.ModuleType("ouchi.cli.status")
        module.command = click.command("status")(does)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "ouchi.cli.status", module)

    return replace


def process(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run ``ouchi WORDS...`` in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(SRC), **settings.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "ouchi", *words],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings},
        env=env,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command_in_order(run: Ouchi, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert re.findall(r"^  ([a-z][a-z-]+)  +[A-Z]", capsys.readouterr().out, re.MULTILINE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_command_is_there_and_has_help(run: Ouchi, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(import_module(f"ouchi.cli.{name.replace('-', '_')}").command, click.Command)
    if name != "openstack":  # hands --help to the real client
        assert run(name, "--help") == 0
        assert capsys.readouterr().out.startswith(f"Usage: ouchi {name} ")


def test_bench_offers_what_there_is() -> None:
    """The command names paths and goals itself, so that help needs no other module."""
    assert tuple(PATHS) == bench.PATHS
    assert tuple(NAMED_GOALS) == bench.GOALS


def test_version(run: Ouchi, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"ouchi {ouchi.__version__}\n"


def test_help_imports_nothing_but_click() -> None:
    listing = "import sys, json; sys.argv = ['ouchi', '--help']; from ouchi.cli import main; main(); "
    listing += "print('\\n' + json.dumps(sorted(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(SRC)!r}); {listing}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    loaded = json.loads(output.splitlines()[-1])
    ours = {name for name in loaded if name.split(".")[0] == "ouchi"}
    assert ours == {
        "ouchi",
        "ouchi.cli",
        "ouchi.cli.lazy",
        "ouchi.core",
        "ouchi.core.errors",
        "ouchi.core.printable",
        "ouchi.machine.program",
        "ouchi.core.wrap",
        "ouchi.machine",
    }
    assert not {"rich", "pydantic", "ruamel", "keystoneauth1", "requests", "subprocess", "asyncio"} & set(loaded)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_answers_at_once(option: str) -> None:
    """At most 0.15 s of CPU, user and system; the best of some runs, as the machine may be busy."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    spent = []
    for _ in range(5):
        before = cpu()
        assert process(option).returncode == 0
        spent.append(cpu() - before)
    assert min(spent) < 0.15


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["stats"], "Did you mean 'status'?"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["--frob"], "No such option"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["completion"], "Missing argument"),
    ],
)
def test_wrong_usage_ends_with_2(run: Ouchi, words: list[str], texts: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert texts in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(("kind", "status"), [(Unhealthy, 1), (BadInput, 2), (Failed, 3)])
def test_findings_are_shown_and_set_the_status(
    run: Ouchi,
    status_does: Callable[[Callable[[], None]], None],
    kind: type[Failed],
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise kind([error("no hugepages", where="node 0", found="0", expected="512"), warning("slow [red]disk[/]")])

    status_does(fail)
    assert run("status") == status
    assert capsys.readouterr() == (
        "",
        "error: node 0: no hugepages\n  found:    0\n  expected: 512\nwarning: slow [red]disk[/]\n",
    )


def test_a_command_chooses_its_status(run: Ouchi, status_does: Callable[[Callable[[], None]], None]) -> None:
    status_does(lambda: click.get_current_context().exit(1))
    assert run("status") == 1


def test_an_interrupt_says_how_to_continue(
    run: Ouchi, status_does: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    status_does(interrupt)
    assert run("status") == 130
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # one more does not kill it while Python ends
    assert "interrupted; run the same command again to continue" in capsys.readouterr().err


@pytest.mark.parametrize("bug", [ZeroDivisionError("division by zero"), BrokenPipeError(32, "Broken pipe")])
def test_a_bug_is_one_line_and_a_private_file(
    run: Ouchi,
    status_does: Callable[[Callable[[], None]], None],
    bug: Exception,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise bug

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("OUCHI_DEBUG", raising=False)
    status_does(fail)
    assert run("status") == 3
    (file,) = tmp_path.iterdir()
    output = capfd.readouterr().err
    assert output == f"ouchi: this is a bug in ouchi ({type(bug).__name__}: {bug}); traceback in {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Traceback (most recent call last)" in file.read_text()
    assert "raise bug" in file.read_text()


def test_debugging_shows_the_traceback(
    run: Ouchi,
    status_does: Callable[[Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUCHI_DEBUG", "1")
    status_does(lambda: {}["key"])
    assert run("status") == 3
    assert "KeyError: 'key'" in capsys.readouterr().err


def test_a_reader_who_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = process("--help", stdout=writer)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_only_where_it_is_expected(no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    program = "from ouchi.cli import show; from ouchi.core.errors import error; show(error('no hugepages'))"
    try:
        subprocess.run(
            [sys.executable, "-c", program],
            stderr=theirs,
            env={**os.environ, "PYTHONPATH": str(SRC), "NO_COLOR": no_color},
            check=True,
            timeout=60,
        )
        output = os.read(ours, 1000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.sub(r"\x1b\[[0-9;]*m", "", output) == "error: no hugepages\r\n"
    assert ("\x1b[" in output) is coloured


def test_the_shell_completes_names_without_loading_commands() -> None:
    requested = {"_OUCHI_COMPLETE": "bash_complete", "COMP_WORDS": "ouchi st", "COMP_CWORD": "1"}
    assert process(env=requested).stdout == "plain,status\n"


def test_the_completion_script_is_one(run: Ouchi, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("completion", "bash") == 0
    script = capsys.readouterr().out
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert "complete -o nosort -F _ouchi_completion ouchi" in script


class TestNeedRoot:
    def test_root_continues(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("root needs no sudo"))
        privilege.need_root()

    def test_without_sudo_it_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BadInput, match="root is needed") as caught:
            privilege.need_root()
        assert "root shell" in caught.value.findings[0].remedy

    def test_sudo_runs_the_same_command_line(self, tmp_path: Path) -> None:
        """Really through a program called sudo, which says what it was asked to run."""
        sudo = tmp_path / "sudo"
        sudo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        sudo.chmod(0o755)
        program = "import os; os.geteuid = lambda: 1000; from ouchi.machine.privilege import need_root; need_root()"
        output = subprocess.run(
            [sys.executable, "-P", "-c", program, "up", "two words"],
            stdout=subprocess.PIPE,
            text=True,
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "PYTHONPATH": str(SRC),
                "OUCHI_DEBUG": "1",
                "NO_COLOR": "1",
                "https_proxy": "http://localhost:1",
                "SECRET": "not yours",
            },
            check=True,
            timeout=60,
        ).stdout.splitlines()
        assert output[:2] == ["--user=root", "--preserve-env=NO_COLOR,OUCHI_DEBUG,https_proxy"]
        assert output[2:] == ["--", sys.executable, "-B", "-P", "-c", program, "up", "two words"]


def test_the_table_and_the_group_agree() -> None:
    assert _commands.list_commands(click.Context(_commands)) == NAMES


def test_the_styles_to_choose_from_are_the_planners() -> None:
    assert tuple(Style) == STYLES


@pytest.mark.parametrize(
    "words",
    [
        ("doctor",),
        ("inspect",),
        ("plan",),
        ("render", "--to", "ovs"),
        ("apply", "--dry-run"),
        ("undo", "--yes"),
        ("support-bundle",),
    ],
    ids=" ".join,
)
def test_a_misspelt_site_file_is_not_this_machine(
    run: Ouchi, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--site", f"{tmp_path}/ouchi.yml") == 2
    assert f"{tmp_path}/ouchi.yml: there is no such site file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reason", "root", "status", "claim"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True, 3, "there is no room"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/var/lib/x"),
            False,
            2,
            "/var/lib/x: a file cannot be read",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/var/lib/x"), True, 3, "this is a bug"),
    ],
)
def test_errors_of_the_system_are_findings(
    run: Ouchi,
    status_does: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    reason: OSError,
    root: bool,
    status: int,
    claim: str,
) -> None:
    def fail() -> None:
        raise reason

    status_does(fail)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr("ouchi.machine.own_process.discard", lambda _stream: None)
    assert run("status") == status
    assert claim in capfd.readouterr().err
