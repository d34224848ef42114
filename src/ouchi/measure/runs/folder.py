"""The folder of a run: everything that was measured and on what, written as it comes and read back with care.

``run.json`` says what was measured (:class:`About`), ``trials.ndjson`` has a trial a line, ``results.json`` the rates
found; ``facts.json``, ``plan.json``, ``counters-before.json`` and ``counters-after.json`` lie beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePath
from typing import Any, Literal, TypeVar

from ouchi.core.errors import BadInput, Failed, Finding, error, warning
from ouchi.machine import Machine, Path, Reader
from ouchi.measure.runs import validate as untrusted
from ouchi.measure.runs.model import SCHEMA, About, Beside, Recorded, Result, Run, Summary
from ouchi.measure.search.trial import Trial

ABOUT, TRIALS, RESULTS = "run.json", "trials.ndjson", "results.json"

MOST_DOCUMENT, MOST_TRIALS = 16 << 20, 512 << 20
"""Bytes that are read of a file."""
MOST_FINDINGS = 20

Attachment = Literal["facts", "plan", "counters-before", "counters-after"]


def require_new(machine: Reader, folder: Path) -> None:
    """Raise BadInput when a folder for a run has files already."""
    if names := machine.entries(folder):
        raise BadInput(
            error(
                "the folder for the run is not empty",
                where=str(folder),
                found=", ".join(names[:5]),
                expected="a new or an empty folder",
                remedy="choose another folder",
            )
        )


class RunWriter:
    """A run's folder while it is measured: whatever was handed over is on disk when the call returns."""

    def __init__(self, machine: Machine, folder: Path, about: About) -> None:
        """Make the folder and say what will be measured. Raises BadInput when it has files or cannot be made."""
        self._machine, self._folder, self._about = machine, PurePath(folder), about
        require_new(machine, folder)
        try:
            machine.make_folder(self._folder)
            self._put(ABOUT, about.to_json())
            machine.write(self._folder / TRIALS, "")
        except OSError as reason:
            raise BadInput(
                error(
                    "the run's folder cannot be made",
                    where=str(folder),
                    found=str(reason),
                    expected="a folder of yours",
                    remedy="choose another folder",
                )
            ) from None

    def attach(self, name: Attachment, value: Mapping[str, Any]) -> None:
        """Keep facts, plan or counters with the run."""
        self._write(f"{name}.json", value)

    def add(self, size: str, repeat: int, trial: Trial) -> None:
        """Keep a trial. Raises Failed when it cannot be written."""
        line = json.dumps(Recorded(size, repeat, trial).to_json(), separators=(",", ":"), allow_nan=False)
        with self._kept():
            self._machine.append(self._folder / TRIALS, line + "\n")

    def results(
        self, results: Iterable[Result], summary: Sequence[Summary] = (), beside: Sequence[Beside] = ()
    ) -> None:
        """Keep the results so far, in place of those kept before."""
        self._write(
            RESULTS,
            {
                "schema": SCHEMA,
                "results": [result.to_json() for result in results],
                "summary": [row.to_json() for row in summary],
                "beside": [row.to_json() for row in beside],
            },
        )

    def finish(self, ended: str, *, complete: bool) -> None:
        """Say when the run ended and whether all of it was measured."""
        self._about = replace(self._about, ended=ended, complete=complete)
        self._write(ABOUT, self._about.to_json())

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as reason:
            raise Failed(
                error(
                    "what was measured cannot be kept",
                    where=str(self._folder),
                    found=str(reason.strerror or reason),
                    remedy="make room on that disk, or choose another folder with -o",
                )
            ) from None

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        with self._kept():
            self._put(name, value)

    def _put(self, name: str, value: Mapping[str, Any]) -> None:
        self._machine.write(self._folder / name, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_run(machine: Reader, folder: Path) -> Run:
    """The run in a folder.

    Half a last line, as a killed run leaves it, is passed over with a note, and results may be missing. Raises
    BadInput with everything that is damaged, by file and line.
    """
    return _Reading(machine, PurePath(folder)).run()


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Head:
    """What says that a file is one of ours."""

    schema: Literal[1]
    kind: Literal["bench"]


@dataclass(frozen=True, slots=True)
class _Found:
    """``results.json``."""

    schema: Literal[1] = 1
    results: tuple[Result, ...] = ()
    summary: tuple[Summary, ...] = ()
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """What a line of ``trials.ndjson`` has beside the trial."""

    size: str
    repeat: int


class _Reading:
    """One reading of a folder: what is wrong is collected, so that all of it is said at once."""

    def __init__(self, machine: Reader, folder: PurePath) -> None:
        self._machine, self._folder = machine, folder
        self._wrong: list[Finding] = []
        self._notes: list[Finding] = []

    def run(self) -> Run:
        if not self._machine.exists(self._folder / ABOUT):
            raise BadInput(
                error(
                    "no run is there",
                    where=str(self._folder),
                    found=f"no {ABOUT}",
                    expected="the folder that a benchmark wrote",
                    remedy="ouchi bench",
                )
            )
        about = self._document(ABOUT, _about)
        trials = self._trials()
        found = self._document(RESULTS, _found) if self._machine.exists(self._folder / RESULTS) else _Found()
        if self._wrong or about is None or found is None:
            raise BadInput(self._wrong)
        if not about.complete:
            self._notes.append(
                warning("the run is not complete", where=str(self._folder), found=f"trials: {len(trials)}")
            )
        return Run(about, trials, found.results, found.summary, found.beside, tuple(self._notes))

    def _document(self, name: str, made: Callable[[Any], T]) -> T | None:
        """A file that is one value; None when it is damaged."""
        try:
            return made(untrusted.parse(self._text(name, MOST_DOCUMENT)))
        except json.JSONDecodeError as reason:
            self._damaged(f"{name}:{reason.lineno}", f"no JSON: {reason.msg}")
        except ValueError as reason:
            self._damaged(f"{name}:1", str(reason))
        return None

    def _trials(self) -> tuple[Recorded, ...]:
        try:
            lines = self._text(TRIALS, MOST_TRIALS).split("\n")
        except ValueError as reason:
            self._damaged(TRIALS, str(reason))
            return ()
        trials = []
        for number, line in enumerate(lines, 1):
            try:
                if line:
                    trials.append(_recorded(line))
            except ValueError as reason:
                # Only the last line of a file that was written to its end is followed by nothing.
                if number == len(lines):
                    self._notes.append(
                        warning(
                            "half a trial was passed over", where=f"{self._folder / TRIALS}:{number}", found=str(reason)
                        )
                    )
                elif len(self._wrong) < MOST_FINDINGS:
                    self._damaged(f"{TRIALS}:{number}", str(reason))
        return tuple(trials)

    def _text(self, name: str, most: int) -> str:
        try:
            data = self._machine.read_bytes(self._folder / name, most + 1)
        except OSError as reason:
            raise ValueError(f"it cannot be read: {reason.strerror or reason}") from None
        if len(data) > most:
            raise ValueError(f"it is larger than {most >> 20} MiB")
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


def _about(value: Any) -> About:
    untrusted.shaped(_Head, value)
    about = untrusted.shaped(About, value)
    for time in filter(None, (about.began, about.ended)):
        if datetime.fromisoformat(time).tzinfo is None:
            raise ValueError(f"the time {time} has no zone")
    return about


def _found(value: Any) -> _Found:
    found = untrusted.shaped(_Found, value)
    keys = [(row.size, row.goal) for row in found.summary]
    if len(set(keys)) < len(keys):
        raise ValueError("the summary has two rows for the same size and goal")
    return found


def _recorded(line: str) -> Recorded:
    value = untrusted.parse(line)
    place = untrusted.shaped(_Place, value)
    trial = untrusted.shaped(Trial, value)
    if odd := _odd(trial):
        raise ValueError(odd)
    return Recorded(place.size, place.repeat, trial)


def _odd(trial: Trial) -> str:
    """What no trial can be, whoever wrote it; empty when it is sound."""
    counts = [trial.foreign, trial.stalls.count, trial.stalls.longest_us, trial.seconds, trial.intended_pps]
    counts += [value for bucket in trial.stalls.histogram for value in bucket]
    for stream in trial.streams:
        counts += [stream.size, stream.intended, stream.attempted, stream.sent, stream.received, stream.duplicated]
        counts += [stream.reordered, stream.corrupt, stream.gaps_dropped, stream.refused, stream.doubtful]
        counts += [gap.packets for gap in stream.gaps]
        counts += [value for bucket in stream.latency.counts for value in bucket]
        edges = [edge for edge, _ in stream.latency.counts]
        if edges != sorted(set(edges)):
            return f"stream {stream.stream}: the latencies are not in order"
    return "a count or a time is below zero" if any(value < 0 for value in counts) else ""
