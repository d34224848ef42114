"""``benchmarks/run``: measure ouchi and print the table of figures."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks import WORK
from benchmarks.command import ENDED, Ouchi, run
from benchmarks.cycle import LOOKS, Notify, Record, check_nothing_to_lose, measure_cycles, take_memory
from benchmarks.fresh import check_alone, check_tools, measure_fresh, tidy
from benchmarks.host import read_host
from benchmarks.planning import measure_planning
from benchmarks.remote import measure_remote
from benchmarks.report import as_json, markdown
from benchmarks.rig import measure_rig
from benchmarks.traffic import measure_traffic
from ouchi.cli import show
from ouchi.core.errors import BadInput, Failed, OuchiError, error
from ouchi.core.events import Event
from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.machine.processes import marked

HOME = str(Path(__file__).resolve().parents[1])
CYCLE = ("up", "nothing", *LOOKS, "memory", "down", "resume")
ALONE = ("commands", "planning", "traffic")
NAMES = (*ALONE, *CYCLE, "fresh", "remote", "rig")
COMMAND_RUNS = 20


@click.command()
@click.option(
    "--repeats", type=click.IntRange(1, 100), default=3, show_default=True, help="How often to run up and down."
)
@click.option("--only", "names", type=click.Choice(NAMES), multiple=True, help="Only this figure; repeatable.")
@click.option("--fresh", is_flag=True, help="Also the first up on a fresh machine (needs mmdebstrap; takes minutes).")
@click.option("--release", default="", metavar="CODENAME", help="The fresh machine's release, if not this machine's.")
@click.option("--destroy", is_flag=True, help="Purge an existing instance on this machine, including its data.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, writable=True), help="Write every sample to a file."
)
def command(
    repeats: int, names: tuple[str, ...], fresh: bool, release: str, destroy: bool, json_file: str | None
) -> None:
    """Measure ouchi on this machine: a Markdown table on stdout, progress on stderr.

    Packages and the cache in /var/lib/ouchi stay; everything else is restored at the end. Exit status: 0 measured,
    2 refused, nothing changed, 3 something failed (what was measured before is printed).
    """
    selected = set(names or (*ALONE, *CYCLE)) | ({"fresh"} if fresh else set())
    host, record = read_host(LocalMachine()), Record()
    status = 0
    try:
        measure(selected, repeats, release, destroy, record)
    except OuchiError as reason:
        show(*reason.findings)
        status = reason.status
    except KeyboardInterrupt:
        _progress()("interrupted")
        status = 130
    if record.samples:
        click.echo(markdown(host, record))
        if json_file:
            Path(json_file).write_text(json.dumps(as_json(host, record), indent=1) + "\n", encoding="utf-8")
    sys.exit(status)


def measure(selected: set[str], repeats: int, release: str, destroy: bool, record: Record) -> None:
    """Measure the selected figures, those that need an idle machine first. Refuses before anything is changed."""
    machine, instance, say = LocalMachine(), Instance(), _progress()
    ouchi = Ouchi((f"{HOME}/ouchi",), _task_ends(say))
    there = bool(marked(instance.name))
    # Memory alone is read from the running instance.
    cycles = bool(selected & {*CYCLE}) and not (there and selected & {*CYCLE} == {"memory"})
    check(selected, cycles, destroy, machine, instance)
    if "commands" in selected:
        measure_commands(record, say)
    if "planning" in selected:
        measure_planning(record, say)
    if "remote" in selected:
        measure_remote(ouchi, record, say)
    if "rig" in selected:
        measure_rig(record, say)
    if not cycles and "memory" in selected:
        take_memory(machine, instance, record, say)
    if not cycles and not selected & {"fresh", "traffic"}:
        return
    machine.make_folder(WORK, mode=0o700)
    try:
        if not there:
            tidy(machine)  # what a killed run may have left
        if "traffic" in selected:
            measure_traffic(ouchi, record, say)
        if cycles:
            measure_cycles(ouchi, machine, instance, selected, repeats, record, say)
        if "fresh" in selected:
            measure_fresh(machine, HOME, release, _task_ends(say), record, say)
    finally:
        with contextlib.suppress(OSError):  # not empty: a cache waits there for the next run
            os.rmdir(WORK)


def check(selected: set[str], cycles: bool, destroy: bool, machine: LocalMachine, instance: Instance) -> None:
    """Raise BadInput for what cannot be measured here, before anything is changed."""
    if selected - {"commands", "planning"} and os.geteuid() != 0:
        raise BadInput(error("root is needed", found=f"user id {os.geteuid()}", remedy="sudo benchmarks/run"))
    if (cycles or "traffic" in selected) and not destroy:
        check_nothing_to_lose(machine, instance)
    if "fresh" in selected:
        check_tools(machine)
    if "fresh" in selected and not cycles:
        check_alone(machine, instance)


def measure_commands(record: Record, say: Notify) -> None:
    """Measure CPU time of the commands that must respond at once, after one run that fills the page cache."""
    for name in ("help", "version"):
        for number in range(COMMAND_RUNS + 1):
            ran = run((f"{HOME}/ouchi", f"--{name}"), seconds=120)
            if ran.status:
                raise Failed(error(f"ouchi --{name} failed", found=ran.stderr.strip()))
            if number:
                record.add(name, ran.cpu)
        say(f"ouchi --{name}: {COMMAND_RUNS} runs")


def _progress() -> Notify:
    begin = time.monotonic()
    return lambda text: click.echo(f"{time.monotonic() - begin:7.1f} s  {text}", err=True)


def _task_ends(say: Notify) -> Callable[[Event], None]:
    """Return a listener that reports the end of each task."""

    def hear(event: Event) -> None:
        if event.kind in ENDED:
            say(f"    {event.stage}: {event.task} ({event.seconds:.1f} s)")

    return hear


if __name__ == "__main__":
    command(prog_name="benchmarks/run")
