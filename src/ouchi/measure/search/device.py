"""What a search measures: anything that can run a trial."""

from __future__ import annotations

from typing import Protocol

from ouchi.measure.search.trial import Trial


class Device(Protocol):
    """A path under test with the generator at its ends."""

    @property
    def streams(self) -> int:
        """How many directions are loaded at once."""

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        """Offer ``pps`` (the sum over all streams) for ``seconds``, drain, count; the trial says if it is valid."""
