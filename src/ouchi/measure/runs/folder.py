"""The folder of a run: everything that was measured and on what, written as it is measured.

``run.json`` describes the run (:class:`RunInfo`), ``trials.ndjson`` has a trial per line, ``results.json`` the rates
found; ``facts.json``, ``plan.json``, ``counters-before.json`` and ``counters-after.json`` complete it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from pathlib import PurePath
from typing import Any, Literal, TypeVar

from ouchi.core.errors import BadInput, Failed, Finding, error, warning
from ouchi.core.plain import to_plain
from ouchi.facts import Facts
from ouchi.machine import Machine, Path, Reader
from ouchi.machine.owners import require_own
from ouchi.measure.runs import schema1, schema2
from ouchi.measure.runs.document import load, parse
from ouchi.measure.runs.model import ExtraResult, Result, Results, Run, RunInfo, TrialRecord, summarise
from ouchi.measure.search.trial import Trial
from ouchi.plan import Plan
from ouchi.plan.saved import LARGEST, parse_plan_and_facts

INFO, TRIALS, RESULTS = "run.json", "trials.ndjson", "results.json"

MAX_DOCUMENT, MAX_TRIALS = 16 << 20, 512 << 20
"""Bytes that are read of a file."""
MAX_FINDINGS = 20

Attachment = Literal["facts", "plan", "counters-before", "counters-after"]


def require_new(machine: Reader, folder: Path) -> None:
    """Raise BadInput when a folder for a run has files already, or root would write into another user's."""
    require_own(folder)
    if names := machine.entries(folder):
        raise BadInput.of(
            "the folder for the run is not empty",
            where=str(folder),
            found=", ".join(names[:5]),
            expected="a new or an empty folder",
            remedy="choose another folder",
        )


class RunWriter:
    """Writes a run's folder while it is measured; each call returns when its data is on disk."""

    def __init__(self, machine: Machine, folder: Path, info: RunInfo) -> None:
        """Make the folder and describe the run. Raises BadInput when it has files or cannot be made."""
        self._machine, self._folder, self._info = machine, PurePath(folder), info
        require_new(machine, folder)
        try:
            machine.make_folder(self._folder)
            self._put(INFO, to_plain(info))
            machine.write(self._folder / TRIALS, "")
        except OSError as reason:
            raise BadInput.of(
                "the run's folder cannot be made",
                where=str(folder),
                found=str(reason),
                expected="a folder of yours",
                remedy="choose another folder",
            ) from None

    def attach(self, name: Attachment, value: Mapping[str, Any]) -> None:
        """Store facts, plan or counters with the run."""
        self._write(f"{name}.json", value)

    def add(self, size: str, repeat: int, trial: Trial) -> None:
        """Store a trial. Raises Failed when it cannot be written."""
        line = json.dumps(to_plain(TrialRecord(size, repeat, trial)), separators=(",", ":"), allow_nan=False)
        with self._disk():
            self._machine.append(self._folder / TRIALS, line + "\n")

    def results(self, results: Sequence[Result], extras: Sequence[ExtraResult] = ()) -> None:
        """Store the results so far and their summary, in place of those stored before."""
        self._write(RESULTS, to_plain(Results(tuple(results), summarise(results), tuple(extras))))

    def finish(self, ended: str, *, complete: bool) -> None:
        """Store when the run ended and whether everything was measured."""
        self._info = replace(self._info, ended=ended, complete=complete)
        self._write(INFO, to_plain(self._info))

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as reason:
            raise Failed.of(
                "the measurements cannot be stored",
                where=str(self._folder),
                found=str(reason.strerror or reason),
                remedy="free space on that disk, or choose another folder with -o",
            ) from None

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        with self._disk():
            self._put(name, value)

    def _put(self, name: str, value: Mapping[str, Any]) -> None:
        self._machine.write(self._folder / name, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_run(machine: Reader, folder: Path, *, with_trials: bool = True) -> Run:
    """The run in a folder, also one of an older schema; without its trials, which are nearly all of it, where they are not needed.

    An incomplete last line, as a killed run leaves it, is skipped with a note; results may be missing. Raises BadInput
    with all damage, by file and line.
    """
    return _Reading(machine, PurePath(folder)).run(with_trials=with_trials)


def read_run_plan(machine: Reader, folder: Path) -> tuple[Plan, Facts] | None:
    """The plan that was measured, with its facts; None where the folder has none that this version reads."""
    try:
        texts = [machine.read_bytes(PurePath(folder) / name, LARGEST + 1) for name in ("plan.json", "facts.json")]
        return parse_plan_and_facts(texts[0], texts[1], str(folder))
    except (OSError, BadInput):
        return None


T = TypeVar("T")


class _Reading:
    """Reads a folder, collecting all damage before it fails."""

    def __init__(self, machine: Reader, folder: PurePath) -> None:
        self._machine, self._folder = machine, folder
        self._wrong: list[Finding] = []
        self._notes: list[Finding] = []

    def run(self, *, with_trials: bool) -> Run:
        if not self._machine.exists(self._folder / INFO):
            raise BadInput.of(
                "there is no run",
                where=str(self._folder),
                found=f"no {INFO}",
                expected="the folder that a benchmark wrote",
                remedy="ouchi bench",
            )
        info = self._document(INFO, _load_info)
        trials = self._trials() if with_trials else ()
        results = self._document(RESULTS, _load_results) if self._machine.exists(self._folder / RESULTS) else Results()
        if self._wrong or info is None or results is None:
            raise BadInput(self._wrong)
        if not info.complete:
            self._notes.append(
                warning(
                    "the run is not complete",
                    where=str(self._folder),
                    found="it ended early" + (f", after {len(trials)} trials" if with_trials else ""),
                )
            )
        return Run(
            info, trials, results.results, results.summary, results.extras, tuple(self._notes), str(self._folder)
        )

    def _document(self, name: str, made: Callable[[Any], T]) -> T | None:
        """A file with one JSON value; None when it is damaged."""
        try:
            return made(parse(self._text(name, MAX_DOCUMENT)))
        except json.JSONDecodeError as reason:
            self._damaged(f"{name}:{reason.lineno}", f"not JSON: {reason.msg}")
        except ValueError as reason:
            self._damaged(f"{name}:1", str(reason))
        return None

    def _trials(self) -> tuple[TrialRecord, ...]:
        try:
            lines = self._text(TRIALS, MAX_TRIALS).split("\n")
        except ValueError as reason:
            self._damaged(TRIALS, str(reason))
            return ()
        trials = []
        for number, line in enumerate(lines, 1):
            try:
                if line:
                    trials.append(_load_trial(line))
            except ValueError as reason:
                # Only a line that was not written completely ends without a line feed.
                if number == len(lines):
                    self._notes.append(
                        warning(
                            "an incomplete trial was skipped",
                            where=f"{self._folder / TRIALS}:{number}",
                            found=str(reason),
                        )
                    )
                elif len(self._wrong) < MAX_FINDINGS:
                    self._damaged(f"{TRIALS}:{number}", str(reason))
        return tuple(trials)

    def _text(self, name: str, most: int) -> str:
        try:
            data = self._machine.read_bytes(self._folder / name, most + 1)
        except OSError as reason:
            raise ValueError(f"the file cannot be read: {reason.strerror or reason}") from None
        if len(data) > most:
            raise ValueError(f"the file is larger than {most >> 20} MiB")
        return data.decode("utf-8", errors="replace")

    def _damaged(self, where: str, found: str) -> None:
        self._wrong.append(
            error(
                "the run is damaged",
                where=f"{self._folder}/{where}",
                found=found,
                expected="the file as the benchmark wrote it",
                remedy="measure again, or report another run",
            )
        )


def _load_info(value: Any) -> RunInfo:
    missing = {"schema", "kind"} - {*value} if isinstance(value, Mapping) else set()
    if missing:
        raise ValueError("; ".join(f"{name}: field required" for name in sorted(missing)))
    info = load(RunInfo, schema2.upgrade_info(schema1.upgrade_info(value)))
    for time in filter(None, (info.started, info.ended)):
        if datetime.fromisoformat(time).tzinfo is None:
            raise ValueError(f"the time {time} has no zone")
    return info


def _load_results(value: Any) -> Results:
    results = load(Results, schema2.upgrade_results(schema1.upgrade_results(value)))
    keys = [(row.size, row.goal) for row in results.summary]
    if len(set(keys)) < len(keys):
        raise ValueError("the summary has two rows for the same size and goal")
    return results


def _load_trial(line: str) -> TrialRecord:
    record = load(TrialRecord, schema2.upgrade_trial(schema1.upgrade_trial(parse(line))))
    if reason := _implausible(record.trial):
        raise ValueError(reason)
    return record


def _implausible(trial: Trial) -> str:
    """Why no trial can have these counts; empty when one can."""
    counts = [trial.foreign, trial.stalls.count, trial.stalls.longest_us, trial.seconds, trial.intended_pps]
    counts += [value for bucket in trial.stalls.histogram for value in bucket]
    for stream in trial.streams:
        members = (getattr(stream, member.name) for member in fields(stream))
        counts += [value for value in members if isinstance(value, int | float)]
        counts += [gap.packets for gap in stream.gaps]
        counts += [value for bucket in stream.latency.counts for value in bucket]
        edges = [edge for edge, _ in stream.latency.counts]
        if edges != sorted(set(edges)):
            return f"stream {stream.stream}: the latencies are not in order"
    return "a count or a time is below zero" if any(value < 0 for value in counts) else ""
