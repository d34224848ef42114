"""Run the tests in groups, side by side where none of them measures, and sum up what they report.

``run-tests`` starts it. Each group is a process of its own. The first of a stage writes to the terminal as it goes;
what the others wrote is shown when all have ended. Groups that run side by side share no lock: ``rig`` alone uses the
rig, ``beside`` alone uses labs meanwhile, and all packages are installed before.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

HOME = Path(__file__).resolve().parents[1]

BESIDE = tuple(
    f"tests/real/test_{name}.py"
    for name in (
        "durable",
        "gather",
        "hostile",
        "image",
        "kvm_probe",
        "nova_placement",
        "parts",
        "refusals",
        "render_consumers",
        "report_browser",
        "schema",
        "ssh",
        "ssh_commands",
        "ssh_connections",
        "supervise",
        "supervise_systemd",
        "up",
        "up_systemd",
        "wheel",
    )
)
"""Real tests that measure nothing and hold on a busy machine. A new file runs in ``lab`` unless it is named here."""

STOP_SECONDS = 60
"""How long a group may clean up after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Group:
    """A name and a command line."""

    name: str
    argv: tuple[str, ...]


def pytest_group(name: str, *words: str) -> Group:
    """A group that pytest runs. Nothing of root's is left in a user's checkout."""
    other = ("-B",) if "SUDO_UID" in os.environ else ()
    cache = ("-p", "no:cacheprovider") if os.geteuid() == 0 else ()
    return Group(name, (sys.executable, "-P", *other, "-m", "pytest", *cache, *words))


def stages(size: str) -> list[tuple[Group, ...]]:
    """What a size (``fast``, ``default``, ``all``) runs: stages in order, in each the groups that run side by side."""
    if size == "fast":
        files = sorted(str(path.relative_to(HOME)) for path in (HOME / "tests/unit").glob("test_*.py"))
        halves = [pytest_group(f"unit-{number + 1}", *files[number::2]) for number in range(2)]
        return [(*halves, Group("checks", (str(HOME / "run-tests"), "--checks")))]
    more = ["--hypothesis-profile=thorough"] if size == "all" else ["-m", "not exhaustive"]
    more += ["--durations=15", "--durations-min=5"]
    return [
        (Group("prepare", (sys.executable, "-P", "-B", str(HOME / "tests/real/installed.py"))),),
        (pytest_group("rig", *more, "tests/rig"), pytest_group("beside", *more, "tests/unit", *BESIDE)),
        (pytest_group("lab", *more, "tests/real", *(f"--ignore={path}" for path in BESIDE)),),
    ]


def heading(text: str) -> None:
    """A line that says what follows."""
    print(f"\n{f' {text} ':#^80}", flush=True)


class Stopped(BaseException):
    """A signal asks us to stop."""


class Run:
    """A group that runs. Its output goes to the terminal, or with ``apart`` to a file until :meth:`show`.

    It has a process group of its own, so that Ctrl-C reaches it once, from :meth:`stop`; when this process is killed
    it is interrupted too.
    """

    def __init__(self, group: Group, folder: Path, *, apart: bool) -> None:
        self.name = group.name
        self.seconds = 0.0
        self._counts = folder / f"{group.name}.json"
        self._log = folder / f"{group.name}.log" if apart else None
        self._began = time.monotonic()
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self._log.open("wb")) if self._log else None
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "INT", "--", "env", "--default-signal=INT", *group.argv],
                cwd=HOME,
                env={**os.environ, "RUN_TESTS_COUNTS": str(self._counts)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                process_group=0,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ended(self) -> bool:
        """Whether it has ended; from then on ``seconds`` is how long it took."""
        if self._process.poll() is None:
            return False
        self.seconds = self.seconds or time.monotonic() - self._began
        return True

    def stop(self) -> None:
        """Interrupt it when it runs, give it :data:`STOP_SECONDS` to clean up, then kill it."""
        if self.ended():
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.ended()

    def show(self) -> None:
        """Write what went to a file to the terminal."""
        if self._log and self._log.exists():
            heading(self.name)
            with self._log.open("rb") as log:
                shutil.copyfileobj(log, sys.stdout.buffer)
            sys.stdout.flush()

    @property
    def status(self) -> int:
        """Its exit status; negative when a signal killed it."""
        return int(self._process.returncode)

    def counts(self) -> Counter[str]:
        """How many tests passed, failed and were skipped; empty when it was not pytest, or pytest did not end."""
        return Counter(json.loads(self._counts.read_text())) if self._counts.exists() else Counter()


def run_stage(groups: Sequence[Group], folder: Path) -> list[Run]:
    """Run groups side by side to their ends; when we are stopped, they are too."""
    heading(" and ".join(group.name for group in groups))
    with contextlib.ExitStack() as stack:
        runs: list[Run] = []
        try:
            for group in groups:
                runs.append(stack.enter_context(Run(group, folder, apart=bool(runs))))
            while [run for run in runs if not run.ended()]:
                time.sleep(0.1)
        finally:
            stack.close()  # stops what still runs
            for run in runs:
                run.show()
    return runs


def summary(runs: Sequence[Run]) -> str:
    """A line for each group, then the whole time, then the totals."""
    lines, total = [""], Counter(passed=0, failed=0, skipped=0)
    for run in runs:
        counts = run.counts()
        total += counts
        what = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        ended = "" if run.status == 0 else f"exit status {run.status}"
        lines.append(f"{run.name:<8} {run.seconds:>6.0f} s  {', '.join(filter(None, (what, ended)))}".rstrip())
    began = float(os.environ.get("RUN_TESTS_BEGAN") or time.time())
    lines.append(f"run-tests: {time.time() - began:.0f} s in all")
    lines.append(", ".join(f"{total[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")))
    return "\n".join(lines)


def main(size: str) -> int:
    """The exit status: 0 when every group's is; 1 otherwise, 130 when interrupted."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="ouchi-tests-") as folder:
        try:
            for stage in stages(size):
                runs += run_stage(stage, Path(folder))
                if stage[0].name == "prepare" and runs[-1].status:
                    break
        except Stopped:
            print("run-tests: interrupted", flush=True)
            return 130
        print(summary(runs), flush=True)
    return 0 if all(run.status == 0 for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
