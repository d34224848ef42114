"""What a benchmark works with, and what it has found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ouchi.core.events import EventKind, Timeline
from ouchi.core.instance import Instance
from ouchi.machine.background import Launcher
from ouchi.measure.paths.cpus import Placement
from ouchi.measure.paths.memory import extra_hugepages
from ouchi.measure.paths.open import Artifacts
from ouchi.measure.request import BenchRequest
from ouchi.measure.runs.describe import describe, labels_of, now
from ouchi.measure.runs.folder import RunWriter
from ouchi.measure.runs.model import ExtraResult, Result
from ouchi.measure.search.evidence import INTERRUPTED
from ouchi.measure.search.trial import Trial
from ouchi.parts import hugepages
from ouchi.plan.target import Target
from ouchi.report.run.progress import trial_text
from ouchi.steps.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchHost:
    """The host that is measured, with everything that the path needs."""

    machine: Launcher
    instance: Instance
    target: Target
    artifacts: Artifacts
    timeline: Timeline

    @property
    def servers_running(self) -> bool:
        """Whether the site's servers run."""
        return bool(self.machine.entries(self.instance.vhost))

    def placement(self, request: BenchRequest) -> Placement:
        """Where the generator and the guests run."""
        return request.placement(self.target, servers_running=self.servers_running)

    @contextmanager
    def more_hugepages(self, request: BenchRequest) -> Iterator[None]:
        """Reserve the path's hugepages meanwhile. After a killed run the next ``up`` or ``down`` releases them."""
        pages = self.target.plan.switch_pages

        def reserve(count: int) -> None:
            # Read the journal anew: others write to it while a path is open.
            journal = Journal(self.machine, self.instance.state)
            hugepages.reserve(journal, pages.node, pages.size_kib, count)

        try:
            reserve(pages.count + extra_hugepages(self.target.plan, request, pages.size_kib))
            yield
        finally:
            reserve(pages.count)


@dataclass
class Recorder:
    """The results so far, stored in the run's folder at once."""

    host: BenchHost
    request: BenchRequest
    folder: str
    writer: RunWriter = field(init=False)
    results: list[Result] = field(default_factory=list, init=False)
    extras: list[ExtraResult] = field(default_factory=list, init=False)
    complete: bool = field(default=True, init=False)
    interrupted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        host, request = self.host, self.request
        placement, emulated = host.placement(request), not host.artifacts.kvm
        labels = labels_of(host.target, request, placement, servers_running=host.servers_running, emulated=emulated)
        info = describe(host.machine, host.target, request, placement, labels=labels)
        self.writer = RunWriter(host.machine, self.folder, info)
        self.writer.attach("facts", host.target.facts.to_json())
        self.writer.attach("plan", host.target.plan.to_json())

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Store the results at the end, also after Ctrl-C, which sets ``interrupted``, and after an exception."""
        try:
            yield
        except KeyboardInterrupt:
            self.ended(INTERRUPTED)
        except BaseException:
            self.complete = False
            raise
        finally:
            self.store()
            self.writer.finish(now(), complete=self.complete)

    def ended(self, reason: str) -> bool:
        """Note why a measurement ended early, empty when it did not; whether the user stopped it."""
        self.complete = self.complete and not reason
        self.interrupted = reason == INTERRUPTED
        return self.interrupted

    def store(self) -> None:
        """Write the results so far."""
        self.writer.results(self.results, self.extras)

    def add_extras(self, rows: Iterable[ExtraResult]) -> None:
        """Add result lines."""
        self.extras += rows
        self.store()

    def trials_of(self, size: str, repeat: int, say: Callable[[str], None] | None = None) -> Callable[[Trial], None]:
        """A function that stores trials of a size and repeat, and reports each."""

        def record(trial: Trial) -> None:
            self.writer.add(size, repeat, trial)
            if say:
                say(trial_text(trial))

        return record

    @contextmanager
    def task(self, name: str) -> Iterator[Callable[[str], None]]:
        """A task in the progress output; the last text is its outcome."""
        timeline, last = self.host.timeline, [""]
        start = timeline.now()
        timeline.emit(EventKind.STARTED, "measure", name)

        def say(text: str) -> None:
            last[0] = text
            timeline.emit(EventKind.PROGRESS, "measure", name, text)

        yield say
        timeline.emit(EventKind.CHANGED, "measure", name, last[0], timeline.now() - start)
