"""Runs for tests: real searches on simulated paths, written by the real writer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ouchi.machine.local import LocalMachine
from ouchi.measure.runs.folder import RunWriter, read_run
from ouchi.measure.runs.model import ExtraResult, LatencyPoint, Result, Run, RunInfo
from ouchi.measure.search.goals import NDR, PDR, Goal
from ouchi.measure.search.methods import search
from ouchi.measure.search.trial import Stalls, Trial
from tests.simulated import Fault, SimulatedDevice

FRACTIONS = (0.1, 0.5, 0.9)
STALL_SECONDS, RING = 250e-6, 512
LABELS = ("shared cores", "emulated")

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&|`=*_[x](http://x)\x1b[31m{{"
MACHINE = LocalMachine()

BESIDE = ExtraResult("64", "through the kernel's bridge", 212_000.0, "0.03 times as much", {"ratio": 0.03})

Rename = Callable[[Trial], Trial]


@dataclass
class Loaded:
    """A simulated path of two directions, of which the cores are as busy as the load is of the capacity."""

    device: SimulatedDevice
    change: Rename

    @property
    def streams(self) -> int:
        return self.device.streams

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        trial = self.device.trial(pps, seconds, label)
        busy = min(1.0, pps / self.streams / self.device.capacity_pps)
        counters = {"ovs": {"pmd": {"pmd_2": {"busy": busy}, "pmd_3": {"busy": busy / 2}}}}
        stalls = trial.stalls
        if not stalls.histogram:
            held_up = tuple((edge, math.ceil(1000 / edge)) for edge in (10.0, 12.5, 16.0, 20.0, 32.0))
            stalls = Stalls(33.0, sum(count for _, count in held_up), 10.0, held_up)
        return self.change(replace(trial, counters=counters, stalls=stalls))


def write_run(
    folder: Path,
    *,
    sizes: Sequence[str] = ("64",),
    repeats: int = 2,
    goals: Sequence[Goal] = (NDR, PDR),
    name: str = "a run",
    path: str = "v2v",
    labels: tuple[str, ...] = LABELS,
    fault: Fault = "",
    stalls_per_second: float = 0.3,
    change: Rename = lambda trial: trial,
    finished: bool = True,
) -> RunWriter:
    """Search each size ``repeats`` times and measure latency at fractions of the first goal's rate."""
    about = RunInfo(
        name,
        "2026-11-23T05:00:00+00:00",
        path,
        request={"sizes": list(sizes), "flows": 1000},
        labels=labels,
        host={"cpu": "a processor", "cpus": 2},
        versions={"ovs": "3.1.0"},
        settings={"pmd-cpu-mask": "0x4", "turbo": False, "rxq": {"desc": [512, 512]}},
    )
    writer = RunWriter(LocalMachine(), folder, about)
    results: list[Result] = []
    for index, size in enumerate(sizes):
        for repeat in range(1, repeats + 1):
            results.append(_repeat(writer, size, repeat, index, goals, fault, stalls_per_second, change))
            if finished:
                writer.results(results, [BESIDE])
    if finished:
        writer.finish("2026-11-23T05:41:12+00:00", complete=True)
    return writer


def _repeat(
    writer: RunWriter,
    size: str,
    repeat: int,
    index: int,
    goals: Sequence[Goal],
    fault: Fault,
    stalls_per_second: float,
    change: Rename,
) -> Result:
    device = SimulatedDevice(
        capacity_pps=2.7e6 / (1 + 0.2 * index) * (1 + 0.002 * repeat),
        ring=RING,
        stall_seconds=STALL_SECONDS,
        stalls_per_second=stalls_per_second,
        streams=2,
        size=float(size) if size.isdigit() else 361.83,
        fault=fault,
        fault_every=9,
        seed=100 * index + repeat,
    )
    under_test = Loaded(device, change)
    found = search(
        under_test,
        goals,
        max_pps=9e6,
        min_pps=9000,
        max_seconds=1e9,
        on_trial=lambda trial, _: writer.add(size, repeat, trial),
        clock=device.clock,
    )
    points = []
    for fraction in FRACTIONS:
        trial = under_test.trial(fraction * (found.bounds[0].lower_pps or 1e6), 1.0, f"latency at {fraction:.0%}")
        writer.add(size, repeat, trial)
        points.append(LatencyPoint(fraction, goals[0].name, trial.number))
    return Result(size, repeat, found.bounds, tuple(points))


def hostile_run(folder: Path, *, finished: bool = True) -> Run:
    """A run in which every text is an attack."""

    def renamed(trial: Trial) -> Trial:
        streams = tuple(
            replace(stream, stream=HOSTILE + stream.stream, tx_port=HOSTILE, rx_port=HOSTILE)
            for stream in trial.streams
        )
        counters = {"ovs": {"pmd": {HOSTILE: {"busy": 0.5}, "other" + HOSTILE: {"busy": 0.25}}}}
        return replace(trial, label=HOSTILE, streams=streams, counters=counters, started=HOSTILE)

    goals = (replace(NDR, name=HOSTILE), replace(PDR, name="PDR" + HOSTILE))
    writer = write_run(
        folder, sizes=(HOSTILE,), name=HOSTILE, path=HOSTILE, labels=(HOSTILE,), goals=goals, fault="stalled",
        change=renamed, finished=finished,
    )  # fmt: skip
    about = json.loads((folder / "run.json").read_text())
    for key in ("request", "host", "versions", "settings"):
        about[key] = {HOSTILE: HOSTILE, "list": [HOSTILE, {HOSTILE: [HOSTILE]}]}
    MACHINE.write(folder / "run.json", json.dumps(about))
    assert writer
    return read_run(MACHINE, folder)
