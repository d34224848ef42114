"""Trials as evidence: every one is kept, an invalid one is repeated, and whatever ends the measuring ends it with a reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ouchi.core.errors import BadInput, error
from ouchi.measure.search.device import Device
from ouchi.measure.search.trial import Trial

ATTEMPTS = 10
"""How often a trial is run until one is valid."""
INTERRUPTED = "stopped by the user"
"""The reason after Ctrl-C."""

OnTrial = Callable[[Trial], None]


class Stop(Exception):
    """Measuring ends here, for the reason that the message says."""


class Evidence:
    """What was measured so far on one device: ``trials`` in order, valid or not, and the ``reason`` it ended early.

    ``most_seconds`` bounds the whole by ``clock``: a trial that could not end in time is not begun.
    """

    def __init__(
        self,
        device: Device,
        on_trial: OnTrial | None = None,
        most_seconds: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device, self.on_trial = device, on_trial
        self.most_seconds, self.clock, self.began = most_seconds, clock, clock()
        self.trials: list[Trial] = []
        self.reason = ""

    @property
    def spent_seconds(self) -> float:
        """Seconds since the beginning, all told."""
        return self.clock() - self.began

    @property
    def complete(self) -> bool:
        """Whether nothing ended it early."""
        return not self.reason

    def trial(
        self, pps: float, seconds: float, label: str = "", enough: Callable[[Trial], bool] = lambda trial: trial.valid
    ) -> Trial:
        """A trial that is ``enough``, after at most :data:`ATTEMPTS`. Raises Stop without one, or without the time for it."""
        for _ in range(ATTEMPTS):
            last = self.once(pps, seconds, label)
            if enough(last):
                return last
        why = "; ".join(last.remarks)
        raise Stop(f"{ATTEMPTS} trials in a row at {pps:,.0f} pps were invalid, at last because {why}")

    def once(self, pps: float, seconds: float, label: str = "") -> Trial:
        """One trial, valid or not. Raises Stop without the time for it."""
        if self.spent_seconds + seconds > self.most_seconds:
            raise Stop(f"the {self.most_seconds:,.0f} s allowed do not suffice")
        trial = self.device.trial(pps, seconds, label)
        self.trials.append(trial)
        if self.on_trial:
            self.on_trial(trial)
        return trial

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Within it, Stop and Ctrl-C end the measuring with ``reason`` set and every trial kept."""
        try:
            yield
        except Stop as stop:
            self.reason = str(stop)
        except KeyboardInterrupt:
            self.reason = INTERRUPTED


def check_range(least_pps: float, most_pps: float) -> None:
    """Raises BadInput unless 0 < least < most."""
    if not 0 < least_pps < most_pps < float("inf"):
        found = f"from {least_pps:,.0f} to {most_pps:,.0f} pps"
        raise BadInput(error("no range of rates to search", found=found, expected="0 < least < most"))
