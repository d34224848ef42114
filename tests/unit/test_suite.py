"""``run-tests`` in groups: every test is in one, outputs are apart, each status counts, and one signal ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import suite
from tests.suite import Group, Run, run_stage, stages, summary


def python(name: str, code: str) -> Group:
    return Group(name, (sys.executable, "-c", code))


COUNT = """
import json, os, sys
print("said by", sys.argv[1])
open(os.environ["RUN_TESTS_COUNTS"], "w").write(json.dumps({"passed": 2, "failed": int(sys.argv[2]), "skipped": 0}))
sys.exit(int(sys.argv[2]))
"""


def test_every_file_of_tests_is_in_one_group() -> None:
    for path in suite.BESIDE:
        assert (suite.HOME / path).is_file(), path
    for size in ("default", "all"):
        words = {group.name: group.argv for stage in stages(size) for group in stage}
        assert set(suite.BESIDE) | {"tests/unit"} <= set(words["beside"])
        assert {f"--ignore={path}" for path in suite.BESIDE} < set(words["lab"])
        assert "tests/rig" in words["rig"]
        assert ("not exhaustive" in words["lab"]) == (size == "default")
    ((first, second, _),) = stages("fast")
    files = {f"tests/unit/{path.name}" for path in (suite.HOME / "tests/unit").glob("test_*.py")}
    assert files <= {*first.argv, *second.argv}
    assert not files & set(first.argv) & set(second.argv)


def test_both_statuses_and_counts_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    groups = [Group(name, (sys.executable, "-c", COUNT, name, status)) for name, status in (("one", "0"), ("two", "1"))]
    runs = run_stage(groups, tmp_path)
    assert [run.status for run in runs] == [0, 1]
    output = capfd.readouterr().out
    assert output.index("said by one") < output.index("# two #") < output.index("said by two")
    lines = summary(runs).splitlines()
    assert lines[1].split()[3:] == ["2", "passed"]
    assert lines[2].endswith("2 passed, 1 failed, exit status 1")
    assert lines[-1] == "4 passed, 1 failed, 0 skipped"


def test_what_ends_without_counts_is_seen(tmp_path: Path) -> None:
    runs = run_stage([python("broken", "raise SystemExit(3)")], tmp_path)
    assert "exit status 3" in summary(runs)
    assert summary(runs).splitlines()[-1] == "0 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_and_lets_them_clean_up(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "try: pathlib.Path(sys.argv[1]).touch(); time.sleep(60)\n"
        "finally: pathlib.Path(sys.argv[1] + '.clean').touch()"
    )
    names = [str(tmp_path / name) for name in ("one", "two")]
    main = (
        "import sys; from pathlib import Path; from tests import suite\n"
        f"groups = [suite.Group(Path(path).name, (sys.executable, '-c', {code!r}, path)) for path in {names!r}]\n"
        "suite.stages = lambda size: [groups]\n"
        "sys.exit(suite.main('default'))"
    )
    argv = ["env", "--default-signal=INT", sys.executable, "-c", main]
    with subprocess.Popen(argv, cwd=suite.HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not all(Path(name).exists() for name in names):
            assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run-tests: interrupted" in out
    assert all(Path(f"{name}.clean").exists() for name in names)


def test_one_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "STOP_SECONDS", 0.2)
    deaf = python(
        "deaf",
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
    )
    with Run(deaf, tmp_path, apart=True) as run:
        while not (tmp_path / "deaf.log").read_text():
            assert not run.ended()
    assert run.status == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{run._process.pid}")
