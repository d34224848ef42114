"""Running ``bench`` and comparing runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import click

from ouchi.bench import Bench, Wish, labels
from ouchi.cli.running import LOCK, stop, timeline_of
from ouchi.errors import BadInput, error
from ouchi.events import Say, Timeline
from ouchi.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import only_one
from ouchi.measure.build import PACKAGES, build, built
from ouchi.measure.compare import Sample
from ouchi.measure.compare import compare as compare_samples
from ouchi.measure.guest import PACKAGE as GUEST_PACKAGE
from ouchi.measure.imix import genome
from ouchi.measure.opened import choose_cpus, stream_of
from ouchi.measure.paths import PATHS
from ouchi.measure.recorded import Run
from ouchi.measure.run import read_run
from ouchi.measure.search import NDR, PDR, RFC2544, TST009
from ouchi.plan.nics import missing_packages
from ouchi.report.run.terminal import run_text
from ouchi.runner import Task, leading_to, run_tasks
from ouchi.steps import Outcome, changed, nothing, packages
from ouchi.up import Up
from ouchi.wanted import Wanted, read_wanted

LARGEST = 1522
"""Bytes of a frame with one VLAN tag and FCS, at an MTU of 1500."""
GOALS = {"ndr": NDR, "pdr": PDR, "rfc2544": RFC2544, "tst009": TST009}


def run_bench(
    site_file: str,
    path: str,
    sizes: Sequence[str],
    goals: Sequence[str],
    folder: str | None,
    *,
    flows: int,
    repeats: int,
    both: bool,
    most_seconds: float,
    dry_run: bool,
    as_json: bool,
) -> int:
    """``bench``: what the path needs, then the searches. Returns the exit status: 1 when not all could be measured."""
    _check_streams(sizes, flows)  # refused before anything is changed
    machine, instance = LocalMachine(), Instance()
    wanted = read_wanted(machine, machine.absolute(site_file))
    chosen = tuple(GOALS[goal] for goal in dict.fromkeys(goals))
    wish = Wish(path, tuple(dict.fromkeys(sizes)), chosen, flows, repeats, both, most_seconds)
    place = machine.absolute(folder or f"ouchi-{path}-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}")
    if dry_run:
        click.echo(_ahead(machine, instance, wanted, wish, place, as_json=as_json))
        return 0
    with only_one(LOCK, "bench"), timeline_of(as_json=as_json) as timeline:
        program = _prepare(machine, instance, wanted, wish, timeline)
        complete = Bench(machine, instance, wanted.facts, wanted.plan, program, timeline).run(wish, place)
    run = read_run(machine, place)
    if as_json:
        click.echo(json.dumps({"folder": place, **run.to_json()}))
    else:
        click.echo(run_text(run))
        click.echo(f"\nkept in {place}\nnext: ouchi report {place}")
    return 0 if complete else 1


def _check_streams(sizes: Sequence[str], flows: int) -> None:
    """Raise BadInput for what no stream can be made of, and for frames that ports with an MTU of 1500 do not take."""
    for size in sizes:
        stream_of(0, "bench", size, flows)
        if (largest := max(genome(size).sizes)) > LARGEST:
            raise BadInput(
                error(
                    "frames of that size cannot be measured yet",
                    where="--size",
                    found=f"{largest} bytes",
                    expected=f"at most {LARGEST} bytes: the ports have an MTU of 1500",
                )
            )


def _prepare(machine: LocalMachine, instance: Instance, wanted: Wanted, wish: Wish, timeline: Timeline) -> str:
    """See to packages, the generator and, when the path has it, OVS; the generator's program."""
    up = Up(machine, instance, wanted.site_file, timeline, missing_packages(wanted.site, wanted.facts))
    programs = []

    def tools(say: Say) -> Outcome:
        guest = (GUEST_PACKAGE,) if PATHS[wish.path].guest_ports else ()
        return packages.install(machine, up.journal, (*PACKAGES, *guest), say)

    def generator(say: Say) -> Outcome:
        before = machine.exists(built(machine, instance))
        programs.append(build(machine, instance, say))
        return nothing("the traffic generator is built") if before else changed("the traffic generator is built")

    # One package manager at a time; the switch and the generator side by side.
    needed = leading_to(up.tasks("dataplane"), "bridges" if PATHS[wish.path].switched else "hugetlbfs")
    more = [Task("prepare", "tools", tools, ("packages",)), Task("prepare", "generator", generator, ("tools",))]
    run_tasks([*needed, *more], timeline, lambda: stop(machine))
    return programs[0]


def _ahead(machine: LocalMachine, instance: Instance, wanted: Wanted, wish: Wish, folder: str, *, as_json: bool) -> str:
    cpus = choose_cpus(wanted.plan)
    guest, servers = bool(PATHS[wish.path].guest_ports), bool(machine.entries(instance.vhost))
    said = labels(wanted.facts, wanted.plan, cpus, guest=guest, servers=servers)
    told = {
        "path": wish.path,
        **wish.to_json(),
        "PMD CPUs": list(wanted.plan.pools.pmd) if PATHS[wish.path].switched else [],
        "generator's CPU": cpus.worker,
        "labels": list(said),
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
        click.echo(json.dumps([{"size": size, "goal": goal, **each.to_json()} for size, goal, each in found]))
        return
    for size, goal, each in found:
        click.echo(f"{size} B, {goal}: {each.verdict}")


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
    }
    return {
        (size, goal): Sample(run.about.name, size, tuple(values), {**marks, "goal": goal})
        for (size, goal), values in found.items()
    }
