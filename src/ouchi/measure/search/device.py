"""What a search measures: anything that runs trials."""

from __future__ import annotations

from typing import Protocol

from ouchi.measure.search.trial import Trial


class Device(Protocol):
    """A path under test with the generator at its ends."""

    @property
    def streams(self) -> int:
        """The number of directions that are loaded at once."""

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        """Offer ``pps`` (the sum of all streams) for ``seconds``, drain and count; the trial is assessed."""
