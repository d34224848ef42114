"""Search methods, by the names of ``--search``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from ouchi.measure.search.binary import REPETITIONS, binary_search
from ouchi.measure.search.evidence import INTERRUPTED, Device
from ouchi.measure.search.goals import Bounds, Goal
from ouchi.measure.search.mlrsearch import SearchProgress, SearchResult, mlrsearch
from ouchi.measure.search.trial import Trial

SearchMethod = Literal["mlrsearch", "binary", "tst009"]
OnProgress = Callable[[Trial, SearchProgress], None]


def search(
    device: Device,
    goals: Sequence[Goal],
    *,
    max_pps: float,
    min_pps: float,
    max_seconds: float,
    method: SearchMethod = "mlrsearch",
    on_trial: OnProgress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Bounds for all ``goals`` between two rates (pps, sum of all streams), in at most ``max_seconds`` by ``clock``.

    ``mlrsearch`` searches for all goals together; ``binary`` and ``tst009`` (with loss verification) for one after the
    other, by single trials of each goal's ``final_seconds``. Raises BadInput for an empty range.
    """
    if method == "mlrsearch":
        return mlrsearch(
            device, goals, max_pps=max_pps, min_pps=min_pps, max_seconds=max_seconds, on_trial=on_trial, clock=clock
        )
    start = clock()
    bounds: list[Bounds] = []
    trials: list[Trial] = []
    reason = ""

    def progress(trial: Trial) -> None:
        trials.append(trial)
        if on_trial:
            on_trial(trial, SearchProgress(tuple(bounds), max(0.0, max_seconds - (clock() - start))))

    for goal in goals:
        found, evidence = binary_search(
            device,
            goal,
            max_pps=max_pps,
            min_pps=min_pps,
            max_seconds=max_seconds - (clock() - start),
            repetitions=REPETITIONS if method == "tst009" else 0,
            on_trial=progress,
            clock=clock,
        )
        bounds.append(found)
        reason = reason or evidence.reason
        if evidence.reason == INTERRUPTED:
            break
    return SearchResult(tuple(bounds), tuple(trials), reason)
