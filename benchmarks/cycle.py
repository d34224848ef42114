"""Measure one cycle of an instance: up from prepared packages, nothing to do, memory, down, up again, down."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks import WORK
from benchmarks.command import Ouchi, Ran, pinging
from benchmarks.cpu import Use, cpu_by_service, read_clock
from benchmarks.memory import Row, counted, measure_memory
from benchmarks.timeline import Span, spans
from ouchi.core.errors import BadInput, Failed, OuchiError, error
from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.machine.processes import marked

CACHE_ASIDE = f"{WORK}/cache"
SITE = f"{WORK}/ouchi.yaml"
NOTHING_RUNS = 5
LOOK_RUNS = 5
LOOKS = {"doctor": (0, 1, 4)}
"""Commands that read a host that is up, and their exit statuses that are no failure."""

Notify = Callable[[str], None]


@dataclass
class Record:
    """Everything measured: samples by figure, and of the last runs their tasks, CPU time and processes."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    timelines: dict[str, list[Span]] = field(default_factory=dict)
    uses: dict[str, Use] = field(default_factory=dict)
    memory: list[Row] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    still_changed: Counter[str] = field(default_factory=Counter)

    @property
    def notes(self) -> list[str]:
        """Remarks that belong to the figures."""
        runs = len(self.samples.get("nothing", ()))
        still = [
            f"`up` with nothing to do still changed: {task} ({count} of {runs} runs)"
            for task, count in self.still_changed.items()
        ]
        return [*self.remarks, *still]

    def add(self, name: str, value: float) -> None:
        """Add a sample of a figure."""
        self.samples.setdefault(name, []).append(value)

    def keep(self, name: str, ran: Ran) -> None:
        """Keep the tasks of an ``up``, and the labels from its summary."""
        self.timelines[name] = spans(arrival.event for arrival in ran.arrivals)
        for label in (json.loads(ran.stdout).get("verified") or {}).get("labels", []):
            if label not in self.labels:
                self.labels.append(label)


def check_nothing_to_lose(machine: LocalMachine, instance: Instance) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` if there is an instance whose data a cycle would delete."""
    there = [name for name in machine.entries(instance.state) if name != "cache"]
    running = marked(instance.name)
    if there or running:
        raise BadInput(
            error(
                "an ouchi instance exists on this machine, and these benchmarks would purge it",
                where=instance.state,
                found=f"{', '.join(there[:8]) or 'no data'}; {len(running)} processes",
                expected="nothing but the cache",
                remedy="benchmarks/run --destroy (its servers, images and passwords are lost), or only: "
                "benchmarks/run --only commands --only memory",
            )
        )


def measure_cycles(
    ouchi: Ouchi,
    machine: LocalMachine,
    instance: Instance,
    selected: set[str],
    repeats: int,
    record: Record,
    say: Notify,
) -> None:
    """Repeat the cycle, and leave the instance down, with its cache but without its data."""
    restore_cache(machine, instance)
    try:
        say("preparing: packages, OpenStack's environment, guest image (minutes when they are missing)")
        ouchi.run("up", "--until", "prepare", "--site", SITE)
        for number in range(1, repeats + 1):
            say(f"cycle {number} of {repeats}: deleting the data, keeping the cache")
            delete_data(ouchi, machine, instance)
            _cycle(ouchi, machine, instance, selected, record, say)
        delete_data(ouchi, machine, instance)
    except BaseException:
        say("failed: taking the instance down; data and logs are kept for inspection")
        with contextlib.suppress(OuchiError):  # the first failure is the one to report
            ouchi.run("down", seconds=120)
        raise
    finally:
        machine.remove(SITE)


def _cycle(
    ouchi: Ouchi, machine: LocalMachine, instance: Instance, selected: set[str], record: Record, say: Notify
) -> None:
    say("up, from prepared packages")
    _up(ouchi, machine, instance, "prepared", record, say)
    if "nothing" in selected:
        for number in range(1, NOTHING_RUNS + 1):
            ran = ouchi.run("up", "--json", "--site", SITE)
            record.add("nothing", ran.seconds)
            record.add("nothing-cpu", ran.cpu)
            say(f"up with nothing to do, {number} of {NOTHING_RUNS}: {ran.seconds:.2f} s")
            record.still_changed.update(ran.changed)
    for name in LOOKS:
        if name in selected:
            _look(ouchi, name, record, say)
    if "memory" in selected:
        take_memory(machine, instance, record, say)
    _down(ouchi, record, say)
    if "resume" in selected:
        say("up, from the data that down kept")
        _up(ouchi, machine, instance, "resume", record, say)
        _down(ouchi, record, say)


def _look(ouchi: Ouchi, name: str, record: Record, say: Notify) -> None:
    for number in range(1, LOOK_RUNS + 1):
        ran = ouchi.run(name, seconds=60, fine=LOOKS[name])
        record.add(name, ran.seconds)
        record.add(f"{name}-cpu", ran.cpu)
        say(f"{name}, {number} of {LOOK_RUNS}: {ran.seconds:.2f} s")


def _up(ouchi: Ouchi, machine: LocalMachine, instance: Instance, name: str, record: Record, say: Notify) -> None:
    before = read_clock(machine)
    ran = ouchi.run("up", "--json", "--site", SITE)
    clock = read_clock(machine).since(before)
    services = cpu_by_service(machine, instance)
    record.uses[name] = Use(ran.seconds, os.cpu_count() or 1, clock, ran.cpu, services)
    record.add(name, pinging(ran))
    record.add(f"{name}-whole", ran.seconds)
    record.keep(name, ran)
    say(f"pinging after {pinging(ran):.1f} s, summary after {ran.seconds:.1f} s")


def _down(ouchi: Ouchi, record: Record, say: Notify) -> None:
    ran = ouchi.run("down", "--json", seconds=120)
    record.add("down", ran.seconds)
    say(f"down in {ran.seconds:.1f} s")


def take_memory(machine: LocalMachine, instance: Instance, record: Record, say: Notify) -> None:
    """Read the memory of the running instance."""
    record.memory = measure_memory(machine, instance)
    record.add("memory", counted(record.memory))
    say(f"memory: {record.samples['memory'][-1]:.3f} GB")


def delete_data(ouchi: Ouchi, machine: LocalMachine, instance: Instance) -> None:
    """``down --purge`` without the cache, which is moved aside meanwhile, on the same file system."""
    ouchi.run("down", seconds=120)
    if machine.exists(instance.cache):
        try:
            os.rename(instance.cache, CACHE_ASIDE)
        except OSError as reason:
            raise Failed(error("the cache cannot be moved aside", where=instance.cache, found=str(reason))) from None
    ouchi.run("down", "--purge", seconds=120)
    restore_cache(machine, instance)


def restore_cache(machine: LocalMachine, instance: Instance) -> None:
    """Undo the move of :func:`delete_data`, also of a killed run; a cache made since is newer and stays."""
    if machine.exists(CACHE_ASIDE):
        if machine.exists(instance.cache):
            machine.remove(CACHE_ASIDE)
        else:
            machine.make_folder(instance.state)
            os.rename(CACHE_ASIDE, instance.cache)
