"""Run all measurements at one frame size of an open path."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

from ouchi.core.errors import Failed
from ouchi.flows.bench_record import Recorder
from ouchi.measure.generator.rates import parse_rate
from ouchi.measure.paths.cpus import Placement
from ouchi.measure.paths.traffic import Traffic
from ouchi.measure.runs.extras import fixed_rate_result, max_offered_result, median_sent_pps
from ouchi.measure.runs.model import LatencyPoint, Result
from ouchi.measure.search.extra_tests import KnownRates, Subject, run_extra_test
from ouchi.measure.search.goals import Bounds, verdict
from ouchi.measure.search.methods import search
from ouchi.measure.search.mlrsearch import SearchProgress
from ouchi.measure.search.trial import Trial
from ouchi.report.run.progress import bounds_text, progress_text

OFFER, OFFER_ALONE = 1.05, 0.97
"""The highest rate to search at, as a share of the rate accepted unpaced: above it, so that an upper bound is found;
below it for the generator alone, which cannot pace at its maximum."""
LADDER, STEADY_ATTEMPTS = (1.0, 0.93, 0.85, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03), 3
"""Where the generator cannot sustain that (a shared CPU), the search starts at the first of these shares at which one
of so many trials is evidence."""
MIN_PPS = 10_000.0
LATENCY_AT = (0.1, 0.5, 0.9)
"""Shares of the rate found, as FD.io CSIT reports latency."""
PROBES, PROBE_SECONDS = 5, 0.5
NO_REPEAT = 0
"""The repeat under which trials outside of repeats are stored."""


@dataclass
class SizeBench:
    """The measurements at a frame size. ``alone_pps``: the generator's rate over a ring, 0 where not measured."""

    recorder: Recorder
    size: str
    traffic: Traffic
    placement: Placement
    alone_pps: float
    max_offered: float = 0.0

    def measure(self) -> None:
        """Fixed rates, searches with latency, extra tests."""
        request, recorder = self.recorder.request, self.recorder
        for rate in request.rates:
            self._fixed_rate(rate)
        for repeat in range(1, request.repeats + 1 if request.goals else 1):
            if recorder.ended(self._repeat(repeat)):
                return
        for test in request.extra_tests:
            with recorder.task(f"{self.size} B, {test}") as say:
                record = recorder.trials_of(self.size, NO_REPEAT, say)
                subject = Subject(self.traffic, self.size, self._known_rates(), record)
                outcome = run_extra_test(test, subject)
                recorder.add_extras(outcome.rows)
                say("; ".join(row.text for row in outcome.rows))
            if recorder.ended(outcome.reason):
                return

    def _fixed_rate(self, rate: str) -> None:
        """Trials at a rate that the user named, reported as they are."""
        request, recorder, traffic = self.recorder.request, self.recorder, self.traffic
        mean = statistics.fmean(routed.stream.mean_size for routed in traffic.loaded)
        line = None if traffic.line_bits is None else round(traffic.line_bits * traffic.streams)
        pps = parse_rate(rate, mean, line, where="--rate")
        trials: list[Trial] = []
        with recorder.task(f"{self.size} B, at {rate}") as say:
            try:
                for repeat in range(1, request.repeats + 1):
                    trials.append(traffic.trial(pps, request.seconds, f"at {rate}"))
                    recorder.trials_of(self.size, repeat, say)(trials[-1])
            finally:
                if trials:
                    recorder.add_extras([fixed_rate_result(self.size, rate, trials)])
            say(recorder.extras[-1].text)

    def _repeat(self, repeat: int) -> str:
        """The highest load that can be offered, the search, and latency below the rate found; why it ended early."""
        request, recorder, timeline = self.recorder.request, self.recorder, self.recorder.host.timeline
        with recorder.task(f"{self.size} B, {repeat} of {request.repeats}") as say:
            start = timeline.now()
            record = recorder.trials_of(self.size, repeat)

            def progress(trial: Trial, standing: SearchProgress) -> None:
                record(trial)
                say(progress_text(trial, standing))

            max_pps = self._max_search_rate(record)
            result = search(
                self.traffic,
                request.goals,
                max_pps=max_pps,
                min_pps=min(MIN_PPS, max_pps / 10),
                max_seconds=max(0.0, request.max_seconds - (timeline.now() - start)),
                method=request.method,
                on_trial=progress,
            )
            recorder.results.append(Result(self.size, repeat, result.bounds))
            recorder.store()
            if not result.interrupted:
                latency = _latency(result.bounds, self.traffic, record)
                recorder.results[-1] = replace(recorder.results[-1], latency=latency)
                recorder.store()
            reason = f" ({result.reason})" if result.reason else ""
            say("; ".join(map(bounds_text, result.bounds)) + reason)
        return result.reason

    def _max_search_rate(self, record: Callable[[Trial], None]) -> float:
        """The highest rate to search at (pps, all streams)."""
        accepted = self._accepted(record)
        limit = accepted * (OFFER if self.recorder.request.path.links else OFFER_ALONE)
        limit = min(limit, self.traffic.line_pps or limit)
        rates = (limit * share for share in LADDER)
        return next((pps for pps in rates if self._is_steady(pps, record)), limit * LADDER[-1])

    def _accepted(self, record: Callable[[Trial], None]) -> float:
        """The rate that the ports accept unpaced (pps, all streams); reported once for a frame size."""
        trials = []
        for _ in range(PROBES):
            trials.append(self.traffic.trial(0, PROBE_SECONDS, "unpaced"))
            record(trials[-1])
        accepted = median_sent_pps(trials)
        if not accepted:
            where = self.traffic.loaded[0].tx_port
            raise Failed.of("the ports accept no frames", where=where, remedy="ouchi status")
        if not self.max_offered:
            self.max_offered = accepted
            request = self.recorder.request
            if request.path.links:
                line_pps = self.traffic.line_pps
                row = max_offered_result(
                    self.size, trials, line_pps=line_pps, request=request, placement=self.placement
                )
                self.recorder.extras.append(row)
        return accepted

    def _is_steady(self, pps: float, record: Callable[[Trial], None]) -> bool:
        """Whether a trial at a rate is evidence for all goals: the generator sustains it, or the path fails earlier."""
        for _ in range(STEADY_ATTEMPTS):
            trial = self.traffic.trial(pps, PROBE_SECONDS, "offered load check")
            record(trial)
            if all(verdict(goal, trial) is not None for goal in self.recorder.request.goals):
                return True
        return False

    def _known_rates(self) -> KnownRates:
        lowers = [
            lower
            for result in self.recorder.results
            if result.size == self.size and (lower := _first_found(result.bounds)[1]) is not None
        ]
        if not self.max_offered:
            self._accepted(self.recorder.trials_of(self.size, NO_REPEAT))
        line_pps = self.traffic.line_pps
        # Alone, the generator was measured in one direction with one worker.
        workers = min(len(self.placement.workers), self.traffic.streams)
        burst = line_pps or max(self.max_offered, self.alone_pps * workers)
        return KnownRates(statistics.median(lowers) if lowers else None, line_pps or self.max_offered, burst)


def _first_found(bounds: tuple[Bounds, ...]) -> tuple[str, float | None]:
    """The first goal for which a rate was found, and that rate (pps)."""
    return next(((one.goal.name, one.lower_pps) for one in bounds if one.lower_pps), ("", None))


def _latency(bounds: tuple[Bounds, ...], traffic: Traffic, record: Callable[[Trial], None]) -> tuple[LatencyPoint, ...]:
    goal, pps = _first_found(bounds)
    if pps is None:
        return ()
    points = []
    for fraction in LATENCY_AT:
        trial = traffic.trial(pps * fraction, 1.0, f"latency at {fraction:.0%} of {goal}")
        record(trial)
        points.append(LatencyPoint(fraction, goal, trial.number))
    return tuple(points)
