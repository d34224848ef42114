"""``ouchi bench``: a path opened, searched at each frame size again and again, and everything kept in a run's folder."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ouchi import __version__
from ouchi.errors import Failed, Interrupted, error
from ouchi.events import Kind, Timeline
from ouchi.facts import Facts
from ouchi.instance import Instance
from ouchi.journal import Journal
from ouchi.machine.local import LocalMachine
from ouchi.measure.opened import Cpus, Opened, choose_cpus, open_path
from ouchi.measure.paths import PATHS, RING
from ouchi.measure.recorded import About, LatencyPoint, Result, summarise
from ouchi.measure.run import RunWriter
from ouchi.measure.search import Bounds, Goal, SearchResult, Standing, search
from ouchi.measure.traffic import Traffic
from ouchi.measure.trial import Trial
from ouchi.plan import Plan
from ouchi.plan.pools import OVERLAPPED
from ouchi.steps import hugepages

HUGEPAGES_MIB = 320
"""What the generator and a guest's testpmd take, on top of the plan's: packet buffers of two ports and two streams each."""
OFFER = 0.97
"""Of the most that was accepted: the highest rate to search at."""
LESS, TRIES = 0.93, 5
"""Where the ports do not take even that steadily, the search begins again at so much of it, so many times."""
LEAST_PPS = 10_000.0
LATENCY_AT = (0.1, 0.5, 0.9)
"""Fractions of the rate found, as FD.io CSIT reports latency."""
PROBES, PROBE_SECONDS = 5, 0.5


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be measured. ``most_seconds`` bounds one search."""

    path: str
    sizes: tuple[str, ...]
    goals: tuple[Goal, ...]
    flows: int = 1
    repeats: int = 3
    both: bool = True
    most_seconds: float = 120.0

    def to_json(self) -> dict[str, Any]:
        """As a run's folder says it."""
        return {
            "frame sizes": list(self.sizes),
            "flows": self.flows,
            "directions": 2 if self.both and self.path != "loop" else 1,
            "goals": [goal.name for goal in self.goals],
            "repeats": self.repeats,
        }


class Bench:
    """One run of ``bench``."""

    def __init__(
        self, machine: LocalMachine, instance: Instance, facts: Facts, plan: Plan, program: str, timeline: Timeline
    ) -> None:
        self._machine, self._instance, self._facts, self._plan = machine, instance, facts, plan
        self._program, self._timeline = program, timeline
        self._results: list[Result] = []
        self._interrupted = False

    def run(self, wish: Wish, folder: str) -> bool:
        """Measure everything; True when all of it was. Whatever was measured is in ``folder``, also after Ctrl-C."""
        cpus = choose_cpus(self._plan)
        path = PATHS[wish.path]
        about = self._about(wish, cpus)
        writer = RunWriter(self._machine, folder, about)
        writer.attach("facts", self._facts.to_json())
        writer.attach("plan", self._plan.to_json())
        complete = False
        try:
            with self._memory(), open_path(self._machine, self._instance, self._program, path, cpus) as opened:
                writer.attach("counters-before", opened.counters())
                complete = self._measure(wish, opened, writer)
                writer.attach("counters-after", opened.counters())
        finally:
            writer.results(self._results, summarise(self._results))
            writer.finish(_now(), complete=complete)
        if self._interrupted:
            raise Interrupted(
                error("interrupted", where=folder, remedy=f"what was measured is kept: ouchi report {folder}")
            )
        return complete

    def _measure(self, wish: Wish, opened: Opened, writer: RunWriter) -> bool:
        complete = True
        for size in wish.sizes:
            traffic = opened.traffic(size, wish.flows, both=wish.both)
            opened.teach(traffic)
            for repeat in range(1, wish.repeats + 1):
                found = self._one(size, repeat, wish, traffic, writer)
                complete = complete and found.complete
                if found.interrupted:
                    self._interrupted = True
                    return False
        return complete

    def _one(self, size: str, repeat: int, wish: Wish, traffic: Traffic, writer: RunWriter) -> SearchResult:
        """One repeat at one frame size: the most that can be offered, the search, latency below what it found."""
        task = f"{size} B, {repeat} of {wish.repeats}"
        begin = self._timeline.now()
        self._timeline.emit(Kind.STARTED, "measure", task)

        def keep(trial: Trial) -> None:
            writer.add(size, repeat, trial)

        def told(trial: Trial, standing: Standing) -> None:
            keep(trial)
            self._timeline.emit(Kind.PROGRESS, "measure", task, _standing(trial, standing))

        most = self._most(traffic, keep)
        for _ in range(TRIES):
            left = wish.most_seconds - (self._timeline.now() - begin)
            found = search(
                traffic,
                wish.goals,
                most_pps=most,
                least_pps=min(LEAST_PPS, most / 10),
                most_seconds=left,
                on_trial=told,
            )
            if found.complete or found.interrupted or any(trial.valid for trial in found.trials):
                break
            most *= LESS
        latency = () if found.interrupted else self._latency(found.bounds, traffic, keep)
        self._results.append(Result(size, repeat, found.bounds, latency))
        writer.results(self._results, summarise(self._results))
        text = "; ".join(map(bounds_text, found.bounds)) + (f" ({found.reason})" if found.reason else "")
        self._timeline.emit(Kind.CHANGED, "measure", task, text, self._timeline.now() - begin)
        return found

    def _most(self, traffic: Traffic, keep: Callable[[Trial], None]) -> float:
        """A little below what the ports took when as much as possible was offered (pps, all streams)."""
        taken = []
        for _ in range(PROBES):
            trial = traffic.trial(0, PROBE_SECONDS, "as much as the ports take")
            keep(trial)
            taken.append(trial.sent_pps)
        if not min(taken):
            raise Failed(error("the ports take no frames", where=traffic.flows[0].sent_from, remedy="ouchi status"))
        return OFFER * statistics.median(taken)

    def _latency(
        self, bounds: tuple[Bounds, ...], traffic: Traffic, keep: Callable[[Trial], None]
    ) -> tuple[LatencyPoint, ...]:
        best = next((one for one in bounds if one.lower_pps), None)
        if best is None or best.lower_pps is None:
            return ()
        points = []
        for fraction in LATENCY_AT:
            trial = traffic.trial(best.lower_pps * fraction, 1.0, f"latency at {fraction:.0%} of {best.goal.name}")
            keep(trial)
            points.append(LatencyPoint(fraction, best.goal.name, trial.number))
        return tuple(points)

    @contextmanager
    def _memory(self) -> Iterator[None]:
        """More hugepages while it lasts. A killed run leaves them to the next ``up`` or ``down``, which know how many."""
        need = self._plan.hugepages[0]
        journal = Journal(self._machine, self._instance.state)
        more = -(-HUGEPAGES_MIB * 1024 // need.size_kib)
        hugepages.reserve(self._machine, journal, need.node, need.size_kib, need.count + more)
        try:
            yield
        finally:
            hugepages.reserve(self._machine, journal, need.node, need.size_kib, need.count)

    def _about(self, wish: Wish, cpus: Cpus) -> About:
        facts = self._facts
        cores = sum(1 for _ in {(cpu.package, cpu.core) for cpu in facts.cpus if cpu.online})
        return About(
            name=f"{wish.path} on {facts.system.hostname}",
            began=_now(),
            path=wish.path,
            what=wish.to_json(),
            labels=labels(
                facts,
                self._plan,
                cpus,
                guest=bool(PATHS[wish.path].guest_ports),
                servers=bool(self._machine.entries(self._instance.vhost)),
            ),
            host={
                "processor": facts.processor.model,
                "cores": cores,
                "distribution": facts.system.distribution.pretty,
                "virtual": facts.system.virtual or "no",
            },
            versions=self._versions(),
            settings={
                "PMD CPUs": list(self._plan.pools.pmd) if PATHS[wish.path].switched else [],
                "generator's CPU": cpus.worker,
                **({"guest's CPU": cpus.guest} if PATHS[wish.path].guest_ports else {}),
                "virtqueue": f"{RING} descriptors, packed",
                "hugepages": f"{self._plan.hugepages[0].size_kib} KiB",
            },
        )

    def _versions(self) -> Mapping[str, str]:
        dpdk = self._machine.run(("pkg-config", "--modversion", "libdpdk")).stdout.strip()
        return {
            "ouchi": __version__,
            "DPDK (generator)": dpdk,
            "Open vSwitch": self._facts.ovs_version or "-",
            "kernel": platform.release(),
        }


def labels(facts: Facts, plan: Plan, cpus: Cpus, *, guest: bool, servers: bool) -> tuple[str, ...]:
    """What must stand beside every figure of a run. ``servers``: those of the site run meanwhile."""
    said = []
    if plan.overlapped:
        said.append(OVERLAPPED)
    if facts.system.virtual:
        said.append("shared machine: its CPUs are virtual")
    if guest and cpus.shared:
        said.append("shared cores: the generator and the guest have one CPU between them")
    if servers:
        said.append("the site's servers run at the same time, on the CPUs that the generator has too")
    return tuple(said)


def bounds_text(bounds: Bounds) -> str:
    """``NDR 1.93–1.94 Mpps``; a question mark where there is no bound."""
    low, high = (f"{value / 1e6:.3f}" if value is not None else "?" for value in (bounds.lower_pps, bounds.upper_pps))
    return f"{bounds.goal.name} {low}–{high} Mpps"


def _standing(trial: Trial, standing: Standing) -> str:
    judged = f"invalid: {trial.problems[0]}" if trial.problems else f"{trial.lost:,} of {trial.sent:,} lost"
    found = "; ".join(map(bounds_text, standing.bounds))
    return f"{trial.intended_pps / 1e6:.3f} Mpps for {trial.intended_seconds:g} s: {judged}; {found}; about {standing.left_seconds:.0f} s left"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
