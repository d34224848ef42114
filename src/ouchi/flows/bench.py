"""``ouchi bench``: the generator proved, a path opened, searched at each frame size again and again, all of it kept."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ouchi.core.errors import Failed, Interrupted, error
from ouchi.core.events import Kind, Timeline
from ouchi.core.instance import Instance
from ouchi.facts import Facts
from ouchi.machine.background import Launcher
from ouchi.measure.generator.rates import parse_rate
from ouchi.measure.paths.memory import more_pages
from ouchi.measure.paths.open import Ready, Setup, open_path
from ouchi.measure.paths.path import PATHS
from ouchi.measure.paths.traffic import Traffic
from ouchi.measure.paths.warm_up import teach
from ouchi.measure.request import Wish
from ouchi.measure.runs.beside_kernel import compared, iperf_rows, kernel_wish
from ouchi.measure.runs.describe import describe, now
from ouchi.measure.runs.fixed import fixed_row
from ouchi.measure.runs.folder import RunWriter
from ouchi.measure.runs.lines import most_of, proof, taken
from ouchi.measure.runs.model import Beside, LatencyPoint, Result, summarise
from ouchi.measure.search.evidence import INTERRUPTED
from ouchi.measure.search.further import Known, measure_further
from ouchi.measure.search.goals import verdict
from ouchi.measure.search.mlrsearch import Bounds, SearchResult, Standing, search
from ouchi.measure.search.standing import bounds_text, standing_text, trial_text
from ouchi.measure.search.trial import Trial
from ouchi.parts import hugepages
from ouchi.plan import Plan
from ouchi.steps.journal import Journal

OFFER, OFFER_ALONE = 1.05, 0.97
"""Of the most that was accepted, the highest rate to search at: above it, so that a bound is found; a generator that
is alone cannot be asked for more than it does."""
LADDER, STEADY = (1.0, 0.93, 0.85, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03), 3
"""Where the generator cannot send that steadily (its CPU is shared, or taken away), the search begins at the first of
these shares of it at which one of so many trials is sound."""
LEAST_PPS = 10_000.0
LATENCY_AT = (0.1, 0.5, 0.9)
"""Fractions of the rate found, as FD.io CSIT reports latency."""
PROBES, PROBE_SECONDS = 5, 0.5
BESIDE = 0
"""The repeat that trials beside the repeats are filed under."""


@dataclass
class Bench:
    """What a run of ``bench`` works with."""

    machine: Launcher
    instance: Instance
    facts: Facts
    plan: Plan
    ready: Ready
    timeline: Timeline

    def run(self, wish: Wish, folder: str) -> bool:
        """Measure everything; True when all of it was. Whatever was measured is in ``folder``, also after Ctrl-C."""
        run = _Run(self, wish, folder)
        try:
            run.measure()
            if wish.kernel and not run.interrupted:
                run.kernel()
        except KeyboardInterrupt:
            run.interrupted = True
        except BaseException:
            run.complete = False
            raise
        finally:
            run.finish()
        if run.interrupted:
            raise Interrupted(
                error("interrupted", where=folder, remedy=f"what was measured is kept: ouchi report {folder}")
            )
        return run.complete

    def setup(self, wish: Wish) -> Setup:
        """How the path of a wish is opened here and now."""
        return wish.setup(self.plan, servers=bool(self.machine.entries(self.instance.vhost)))

    @contextmanager
    def memory(self, setup: Setup) -> Iterator[None]:
        """More hugepages while it lasts. A killed run leaves them to the next ``up`` or ``down``, which know how many."""
        need = self.plan.hugepages[0]

        def reserve(count: int) -> None:
            # The journal as it is now: others write in it while a path is open.
            journal = Journal(self.machine, self.instance.state)
            hugepages.reserve(self.machine, journal, need.node, need.size_kib, count)

        try:
            reserve(need.count + more_pages(self.plan, setup, need.size_kib))
            yield
        finally:
            reserve(need.count)


@dataclass
class _Run:
    """One run: what it has found so far, and where that is kept."""

    bench: Bench
    wish: Wish
    folder: str
    writer: RunWriter = field(init=False)
    results: list[Result] = field(default_factory=list, init=False)
    beside: list[Beside] = field(default_factory=list, init=False)
    alone: dict[str, float] = field(default_factory=dict, init=False)
    most: dict[str, float] = field(default_factory=dict, init=False)
    complete: bool = field(default=True, init=False)
    interrupted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        bench = self.bench
        about = describe(
            bench.machine, bench.instance, bench.facts, bench.plan, self.wish, emulated=not bench.ready.kvm
        )
        self.writer = RunWriter(bench.machine, self.folder, about)
        self.writer.attach("facts", bench.facts.to_json())
        self.writer.attach("plan", bench.plan.to_json())

    def finish(self) -> None:
        """Keep what was found, and say whether that is all."""
        self.keep()
        self.writer.finish(now(), complete=self.complete and not self.interrupted)

    def keep(self) -> None:
        """Put on disk what has been found so far."""
        self.writer.results(self.results, summarise(self.results), self.beside)

    def measure(self) -> None:
        """The generator proved, the path opened, every size measured."""
        bench, wish = self.bench, self.wish
        setup = bench.setup(wish)
        with bench.memory(setup):
            if wish.path.links:
                self.prove(replace(setup, path=PATHS["loop"]))
            with open_path(bench.machine, bench.instance, bench.ready, setup) as opened:
                self.writer.attach("counters-before", opened.carrier.counters())
                for size in wish.sizes:
                    teach(opened, size, wish.flows)
                    self.size(size, opened.traffic(size, wish.flows, both=wish.both))
                    if self.interrupted:
                        break
                self.writer.attach("counters-after", opened.carrier.counters())

    def kernel(self) -> None:
        """The same searches through the kernel's bridge, a run of its own in this one's folder, and iperf3."""
        bench, wish = self.bench, kernel_wish(self.wish)
        other = _Run(bench, wish, f"{self.folder}/kernel")
        try:
            other.measure()
        except KeyboardInterrupt:
            other.interrupted = True
        finally:
            other.finish()
        self.complete, self.interrupted = self.complete and other.complete, other.interrupted
        if self.interrupted:
            return
        self.beside += compared(self.results, other.results, bench.setup(self.wish), bench.plan)
        self.keep()
        with self._task("iperf3 through the kernel's bridge") as told:
            for row in iperf_rows(bench.machine, bench.instance, bench.setup(wish), wish.sizes, told):
                self.beside.append(row)

    def prove(self, setup: Setup) -> None:
        """The generator to itself, before anything is blamed on a path: what it does at most, and that it loses nothing.

        Raises Failed when it finds fault with frames that nobody but itself has touched.
        """
        bench = self.bench
        with open_path(bench.machine, bench.instance, bench.ready, setup) as opened:
            for size in self.wish.sizes:
                with self._task(f"{size} B, the generator to itself") as told:
                    traffic = opened.traffic(size, self.wish.flows, both=True)
                    most = most_of(
                        [traffic.trial(0, PROBE_SECONDS, "as much as the ports take") for _ in range(PROBES)]
                    )
                    if not most:
                        raise Failed(
                            error("the generator sends nothing, even to itself", remedy="ouchi bench --path loop")
                        )
                    for share in LADDER:
                        trial = traffic.trial(OFFER_ALONE * share * most, 1.0, "proof")
                        if trial.valid:
                            break
                    row = proof(size, most, trial)
                    self.alone[size] = most
                    self.beside.append(row)
                    told(f"{most / 1e6:.1f} Mpps; {row.said}")

    def size(self, size: str, traffic: Traffic) -> None:
        """All repeats at a frame size, and what else is asked for."""
        for rate in self.wish.rates:
            self._fixed(size, rate, traffic)
        for repeat in range(1, self.wish.repeats + 1 if self.wish.goals else 1):
            found = self._repeat(size, repeat, traffic)
            self.complete = self.complete and found.complete
            if found.interrupted:
                self.interrupted = True
                return
        for test in self.wish.also:
            with self._task(f"{size} B, {test}") as told:
                known = self._known(size, traffic)
                further = measure_further(test, traffic, size, known, self._keeper(size, BESIDE, told))
                self.beside += further.rows
                self.keep()
                told("; ".join(row.said for row in further.rows))
            self.interrupted = further.reason == INTERRUPTED
            self.complete = self.complete and not further.reason
            if self.interrupted:
                return

    def _fixed(self, size: str, rate: str, traffic: Traffic) -> None:
        """Trials at a rate of the user's own; what they show is said as it is."""
        mean = statistics.fmean(flow.stream.mean_size for flow in traffic.flows)
        line = None if traffic.line_bits is None else round(traffic.line_bits * traffic.streams)
        pps = parse_rate(rate, mean, line, where="--rate")
        trials = []
        with self._task(f"{size} B, at {rate}") as told:
            try:
                for repeat in range(1, self.wish.repeats + 1):
                    trials.append(traffic.trial(pps, self.wish.seconds, f"at {rate}"))
                    self._keeper(size, repeat, told)(trials[-1])
            finally:
                if trials:
                    self.beside.append(fixed_row(size, rate, trials))
            told(self.beside[-1].said)
            self.keep()

    def _repeat(self, size: str, repeat: int, traffic: Traffic) -> SearchResult:
        """The most that can be offered, the search, latency below what it found."""
        wish, timeline = self.wish, self.bench.timeline
        with self._task(f"{size} B, {repeat} of {wish.repeats}") as told:
            begin = timeline.now()

            def heard(trial: Trial, standing: Standing) -> None:
                self.writer.add(size, repeat, trial)
                timeline.emit(
                    Kind.PROGRESS, "measure", f"{size} B, {repeat} of {wish.repeats}", standing_text(trial, standing)
                )

            keep = self._keeper(size, repeat)
            most = self._offer(size, traffic, keep)
            found = search(
                traffic,
                wish.goals,
                most_pps=most,
                least_pps=min(LEAST_PPS, most / 10),
                most_seconds=max(0.0, wish.most_seconds - (timeline.now() - begin)),
                on_trial=heard,
            )
            self.results.append(Result(size, repeat, found.bounds))
            self.keep()
            if not found.interrupted:
                self.results[-1] = replace(self.results[-1], latency=_latency(found.bounds, traffic, keep))
                self.keep()
            told("; ".join(map(bounds_text, found.bounds)) + (f" ({found.reason})" if found.reason else ""))
        return found

    def _offer(self, size: str, traffic: Traffic, keep: Callable[[Trial], None]) -> float:
        """The highest rate to search at (pps, all streams), by what the ports took when as much as possible was offered."""
        most = self._taken(size, traffic, keep) * (OFFER if self.wish.path.links else OFFER_ALONE)
        most = min(most, traffic.line_pps or most)
        rungs = (most * share for share in LADDER)
        return next((pps for pps in rungs if self._steady(traffic, pps, keep)), most * LADDER[-1])

    def _taken(self, size: str, traffic: Traffic, keep: Callable[[Trial], None]) -> float:
        """What the ports take when as much as possible is offered (pps, all streams); said once for a frame size."""
        trials = []
        for _ in range(PROBES):
            trials.append(traffic.trial(0, PROBE_SECONDS, "as much as the ports take"))
            keep(trials[-1])
        most = most_of(trials)
        if not most:
            raise Failed(error("the ports take no frames", where=traffic.flows[0].sent_from, remedy="ouchi status"))
        if size not in self.most:
            self.most[size] = most
            if self.wish.path.links:
                self.beside.append(taken(size, trials, traffic.line_pps, self.bench.setup(self.wish)))
        return most

    def _steady(self, traffic: Traffic, pps: float, keep: Callable[[Trial], None]) -> bool:
        """Whether a trial at a rate shows anything at all: the generator offers it, or the path fails with less."""
        for _ in range(STEADY):
            trial = traffic.trial(pps, PROBE_SECONDS, "can it be offered")
            keep(trial)
            if all(verdict(goal, trial) is not None for goal in self.wish.goals):
                return True
        return False

    def _known(self, size: str, traffic: Traffic) -> Known:
        lowers = [
            lower for result in self.results if result.size == size and (lower := _best(result.bounds)[1]) is not None
        ]
        if size not in self.most:
            self._taken(size, traffic, self._keeper(size, BESIDE))
        # Alone it was measured in one direction, by one worker.
        workers = len(self.bench.setup(self.wish).cpus.workers)
        fastest = traffic.line_pps or max(self.most[size], self.alone.get(size, 0.0) * min(workers, traffic.streams))
        return Known(statistics.median(lowers) if lowers else None, traffic.line_pps or self.most[size], fastest)

    def _keeper(self, size: str, repeat: int, told: Callable[[str], None] | None = None) -> Callable[[Trial], None]:
        """What keeps a trial, and says how it went where nobody else does."""

        def keep(trial: Trial) -> None:
            self.writer.add(size, repeat, trial)
            if told:
                told(trial_text(trial))

        return keep

    @contextmanager
    def _task(self, name: str) -> Iterator[Callable[[str], None]]:
        """A line of progress with its time; what is said last is its outcome."""
        timeline, said = self.bench.timeline, [""]
        begin = timeline.now()
        timeline.emit(Kind.STARTED, "measure", name)

        def told(text: str) -> None:
            said[0] = text
            timeline.emit(Kind.PROGRESS, "measure", name, text)

        yield told
        timeline.emit(Kind.CHANGED, "measure", name, said[0], timeline.now() - begin)


def _best(bounds: tuple[Bounds, ...]) -> tuple[str, float | None]:
    """The first goal that a rate was found for, and that rate (pps)."""
    return next(((one.goal.name, one.lower_pps) for one in bounds if one.lower_pps), ("", None))


def _latency(bounds: tuple[Bounds, ...], traffic: Traffic, keep: Callable[[Trial], None]) -> tuple[LatencyPoint, ...]:
    name, pps = _best(bounds)
    if pps is None:
        return ()
    points = []
    for fraction in LATENCY_AT:
        trial = traffic.trial(pps * fraction, 1.0, f"latency at {fraction:.0%} of {name}")
        keep(trial)
        points.append(LatencyPoint(fraction, name, trial.number))
    return tuple(points)
