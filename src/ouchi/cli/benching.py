"""Running ``bench`` and comparing runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from ouchi.cli.running import stop
from ouchi.cli.timeline import timeline_of
from ouchi.core.errors import BadInput, error
from ouchi.core.instance import LOCK, Instance
from ouchi.flows.bench import Bench
from ouchi.flows.bench_ready import prepare
from ouchi.live import kvm
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import only_one
from ouchi.measure.generator.imix import genome
from ouchi.measure.generator.rates import parse_rate
from ouchi.measure.paths.memory import more_pages
from ouchi.measure.paths.open import stream_of
from ouchi.measure.paths.path import PATHS
from ouchi.measure.paths.wires import Wire, check_wires
from ouchi.measure.request import LARGEST, Wish
from ouchi.measure.runs.compare import Sample
from ouchi.measure.runs.compare import compare as compare_samples
from ouchi.measure.runs.describe import labels
from ouchi.measure.runs.folder import read_run, require_new
from ouchi.measure.runs.model import Run
from ouchi.measure.search.further import SECONDS, Further
from ouchi.measure.search.mlrsearch import NDR, PDR, RFC2544, TST009, Goal, goal
from ouchi.plan.load import read_target
from ouchi.plan.target import Target
from ouchi.report.run.terminal import run_text

__all__ = ["GOALS", "PATHS", "Asked", "run_bench", "run_compare"]

ANY_LINE = 10**12
"""bit/s: more than any card's."""
GOALS = {"ndr": NDR, "pdr": PDR, "rfc2544": RFC2544, "tst009": TST009}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says, as it stands there."""

    path: str
    sizes: Sequence[str]
    goals: Sequence[str]
    also: Sequence[str]
    guest: str
    wires: Sequence[tuple[str, str]]
    flows: int
    repeats: int
    both: bool
    most_seconds: float
    kernel: bool
    rates: Sequence[str]
    seconds: float

    def wish(self) -> Wish:
        """As a value that can be measured. Raises BadInput for what no stream can be made of."""
        wired = PATHS[self.path].wired
        for size in self.sizes:
            mean = stream_of(0, "bench", size, self.flows).mean_size
            for rate in self.rates:  # of a wire's line more is known when it is open
                parse_rate(rate, mean, ANY_LINE if wired else None, where="--rate")
            if (largest := max(genome(size).sizes)) > LARGEST:
                raise BadInput(
                    error(
                        "no port takes frames of that size",
                        where="--size",
                        found=f"{largest} bytes",
                        expected=f"at most {LARGEST} bytes",
                    )
                )
        if self.rates and not self.goals and (found := self._found_rate()):
            raise BadInput(
                error(
                    "without a search there is no rate found to measure this at",
                    where="--rate",
                    found=found,
                    expected="--goal as well, or none of these",
                )
            )
        if self.kernel and self.path != "v2v":
            raise BadInput(
                error(
                    "the kernel's networking is measured beside v2v",
                    where="--beside-kernel",
                    found=f"--path {self.path}",
                )
            )
        return Wish(
            self.path,
            tuple(dict.fromkeys(self.sizes)),
            tuple(_goal(name) for name in dict.fromkeys(self.goals)),
            self.flows,
            self.repeats,
            self.both,
            self.most_seconds,
            "vm" if self.guest == "vm" else "testpmd",
            tuple(Wire(*wire) for wire in self.wires),
            tuple(_further(text) for text in dict.fromkeys(self.also)),
            tuple(dict.fromkeys(self.rates)),
            self.seconds,
            self.kernel,
        )

    def _found_rate(self) -> str:
        """What is asked for that builds on a search."""
        tests = [text for text in self.also if text.partition(":")[0] in ("latency", "soak", "back-to-back")]
        return ", ".join([*(f"--also {text}" for text in tests), *(["--beside-kernel"] if self.kernel else [])])


def _goal(name: str) -> Goal:
    return GOALS[name] if name in GOALS else goal(float(name.removesuffix("%")) / 100)


def _further(text: str) -> Further:
    name, _, seconds = text.partition(":")
    return Further(name, float(seconds or SECONDS[name]))


def run_bench(site_file: str, asked: Asked, folder: str | None, *, dry_run: bool, as_json: bool) -> int:
    """``bench``: what the path needs, then the searches. Returns the exit status: 1 when not all could be measured."""
    wish = asked.wish()  # refused before anything is changed
    machine, instance = LocalMachine(), Instance()
    target = read_target(machine, machine.absolute(site_file))
    check_wires(wish.path_name, wish.path.wired, wish.wires, target.site, target.facts)
    place = machine.absolute(folder or f"ouchi-{wish.path_name}-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}")
    if dry_run:
        click.echo(_ahead(machine, instance, target, wish, place, as_json=as_json))
        return 0
    require_new(machine, place)
    with only_one(LOCK, "bench"), timeline_of(as_json=as_json) as timeline:
        ready = prepare(machine, instance, target, wish, timeline, lambda: stop(machine))
        bench = Bench(machine, instance, target.facts, target.plan, ready, timeline)
        complete = bench.run(wish, place)
    run = read_run(machine, place)
    if as_json:
        click.echo(json.dumps({"folder": place, **run.to_json()}))
    else:
        click.echo(run_text(run))
        click.echo(f"\nkept in {place}\nnext: ouchi report {place}")
    return 0 if complete else 1


def _ahead(machine: LocalMachine, instance: Instance, target: Target, wish: Wish, folder: str, *, as_json: bool) -> str:
    servers = bool(machine.entries(instance.vhost))
    setup = wish.setup(target.plan, servers=servers)
    told = {
        "path": wish.path.name,
        **wish.to_json(),
        "PMD CPUs": list(target.plan.pools.pmd) if setup.path.switched else [],
        "generator's CPUs": list(setup.cpus.workers),
        **({"guests' CPUs": list(setup.cpus.guests)} if setup.path.guests else {}),
        "more hugepages": f"{more_pages(target.plan, setup, setup.page_kib) * setup.page_kib // 1024} MiB",
        # Whether KVM works takes a probe, if none was made yet: without one nothing is promised.
        "labels": list(
            labels(target.facts, target.plan, setup, servers=servers, emulated=not kvm.known(machine, instance))
        ),
        "folder": folder,
    }
    if as_json:
        return json.dumps(told)
    lines = [
        f"{key + ':':<18}{', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in told.items()
    ]
    return "\n".join(["would measure, and change nothing now", *lines])


def run_compare(before: str, after: str, *, as_json: bool) -> None:
    """``bench compare``: every size and goal that both runs have."""
    machine = LocalMachine()
    runs = [read_run(machine, machine.absolute(folder)) for folder in (before, after)]
    pairs = _pairs(*runs)
    if not pairs:
        raise BadInput(
            error(
                "the runs have no frame size and goal in common",
                where=f"{before}, {after}",
                remedy="measure both with the same options",
            )
        )
    found = [(size, goal, compare_samples(one, other)) for size, goal, one, other in pairs]
    if as_json:
        click.echo(json.dumps([{"size": size, "goal": name, **each.to_json()} for size, name, each in found]))
        return
    for size, name, each in found:
        click.echo(f"{size} B, {name}: {each.verdict}")


def _pairs(before: Run, after: Run) -> list[tuple[str, str, Sample, Sample]]:
    """Samples of the two runs by frame size and goal."""
    samples = [_samples(run) for run in (before, after)]
    return [(*key, samples[0][key], samples[1][key]) for key in samples[0] if key in samples[1]]


def _samples(run: Run) -> dict[tuple[str, str], Sample]:
    found: dict[tuple[str, str], list[float]] = {}
    for result in run.results:
        for bounds in result.bounds:
            if bounds.lower_pps is not None:
                found.setdefault((result.size, bounds.goal.name), []).append(bounds.lower_pps)
    marks = {
        "path": run.about.path,
        "labels": "; ".join(run.about.labels),
        "flows": str(run.about.what.get("flows", "")),
        "directions": str(run.about.what.get("directions", "")),
        "guest": str(run.about.what.get("guest", "")),
        "wires": str(run.about.what.get("wires", "")),
        "MTU": str(run.about.settings.get("MTU", "")),
    }
    return {
        (size, goal): Sample(run.about.name, size, tuple(values), {**marks, "goal": goal})
        for (size, goal), values in found.items()
    }
