"""The load of each PMD thread by offered load."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.report.run.chart import Chart, Figure, colour
from ouchi.report.run.keys import key_text
from ouchi.report.run.scales import linear
from ouchi.report.run.trials import size_text
from ouchi.report.run.units import rate_text, rate_unit, share_text


def load_figure(run: Run, size: str) -> Figure | None:
    """None without counters."""
    cores: dict[str, dict[float, list[float]]] = {}
    for recorded in run.of_size(size):
        for name, share in _busy(recorded):
            cores.setdefault(name, {}).setdefault(recorded.trial.intended_pps, []).append(share)
    if not cores:
        return None
    most = max(pps for rates in cores.values() for pps in rates)
    unit = rate_unit(most)
    title = f"Load of each core, {size_text(size)}"
    chart = Chart(
        title,
        linear(0, most * 1.03, unit.text),
        linear(0, 1, share_text, count=5),
        f"offered load, {unit.name}",
        "busy",
    )
    for index, (name, rates) in enumerate(cores.items()):
        middle = [(pps, statistics.fmean(shares)) for pps, shares in sorted(rates.items())]
        chart.line(middle, colour(index))
        for pps, share in middle:
            chart.dot(pps, share, f"{name}\n{share_text(share)} busy at {rate_text(pps)}", colour(index), 3)
    legend = [(colour(index), name) for index, name in enumerate(cores)]
    return Figure("Share of its time that each core was busy; the mean of the valid trials at a load.", chart, legend)


def _busy(recorded: TrialRecord) -> Iterator[tuple[str, float]]:
    """The busy share of each PMD thread. The counters in the file are untrusted: invalid values are skipped."""
    found: Any = recorded.trial.counters
    for key in ("ovs", "pmd"):
        found = found.get(key) if isinstance(found, Mapping) else None
    if not recorded.trial.valid or not isinstance(found, Mapping):
        return
    for name, counted in found.items():
        share = counted.get("busy") if isinstance(counted, Mapping) else None
        if isinstance(share, int | float) and 0 <= share <= 1:
            yield key_text(name), float(share)
