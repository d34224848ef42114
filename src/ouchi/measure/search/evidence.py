"""Runs trials: all are kept, invalid ones are repeated, and a measurement that ends early has a reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ouchi.core.errors import BadInput
from ouchi.measure.search.trial import Trial

ATTEMPTS = 10
"""The number of attempts at a valid trial."""
INTERRUPTED = "stopped by the user"
"""The reason after Ctrl-C."""


class Device(Protocol):
    """What is measured: a path under test with the generator at its ends."""

    @property
    def streams(self) -> int:
        """The number of directions that are loaded at once."""

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        """Offer ``pps`` (the sum of all streams) for ``seconds``, drain and count; the trial is assessed."""


OnTrial = Callable[[Trial], None]


class SearchStopped(Exception):
    """Ends a measurement early; the message is the reason."""


@dataclass
class Evidence:
    """The trials of one measurement in order, valid or not, and the ``reason`` why it ended early.

    ``max_seconds`` bounds the whole by ``clock``: a trial that could not end in time is not started.
    """

    device: Device
    on_trial: OnTrial | None = None
    max_seconds: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    trials: list[Trial] = field(default_factory=list, init=False)
    reason: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def spent_seconds(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    def trial(
        self, pps: float, seconds: float, label: str = "", accept: Callable[[Trial], bool] = lambda trial: trial.valid
    ) -> Trial:
        """A trial that ``accept`` accepts. Raises SearchStopped after :data:`ATTEMPTS`, or when the time is up."""
        for _ in range(ATTEMPTS):
            last = self.once(pps, seconds, label)
            if accept(last):
                return last
        why = "; ".join(last.remarks)
        raise SearchStopped(f"{ATTEMPTS} trials in a row at {pps:,.0f} pps were invalid, the last because {why}")

    def once(self, pps: float, seconds: float, label: str = "") -> Trial:
        """One trial, valid or not. Raises SearchStopped when the time is up."""
        if self.spent_seconds + seconds > self.max_seconds:
            raise SearchStopped(f"the time limit of {self.max_seconds:,.0f} s was reached")
        trial = self.device.trial(pps, seconds, label)
        self.trials.append(trial)
        if self.on_trial:
            self.on_trial(trial)
        return trial

    @contextmanager
    def until_stopped(self) -> Iterator[None]:
        """SearchStopped and Ctrl-C end the block with ``reason`` set and all trials kept."""
        try:
            yield
        except SearchStopped as stop:
            self.reason = str(stop)
        except KeyboardInterrupt:
            self.reason = INTERRUPTED


def check_range(min_pps: float, max_pps: float) -> None:
    """Raise BadInput unless 0 < minimum < maximum."""
    if not 0 < min_pps < max_pps < float("inf"):
        found = f"from {min_pps:,.0f} to {max_pps:,.0f} pps"
        raise BadInput.of("the range of rates is empty", found=found, expected="0 < minimum < maximum")
