"""The lines of a run about the generator alone and about the most that a path took."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ouchi.core.errors import Failed, error
from ouchi.measure.paths.open import Setup
from ouchi.measure.runs.model import Beside
from ouchi.measure.search.trial import Trial

MOST = "as much as possible offered"
PROOF = "the generator to itself, at most"
FULL = 0.95
"""The share of its cycles, or of its rate, from which on a PMD or a wire is taken for the limit."""


def proof(size: str, most: float, trial: Trial) -> Beside:
    """The line about a trial of the generator to itself. Raises Failed when a valid one has faults."""
    faults = {
        "lost": trial.lost,
        "duplicated": sum(stream.duplicated for stream in trial.streams),
        "reordered": sum(stream.reordered for stream in trial.streams),
        "corrupt": sum(stream.corrupt for stream in trial.streams),
    }
    if trial.valid and any(faults.values()):
        raise Failed(
            error(
                "the generator finds fault with frames that nobody else has touched",
                found=", ".join(f"{count:,} {name}" for name, count in faults.items() if count),
                expected="none: figures of a path would be worth nothing",
                remedy="please report it, with this machine's ouchi inspect --json",
            )
        )
    said = f"{trial.lost:,} of {trial.sent:,} frames falsely lost, none twice, late or damaged"
    if not trial.valid:
        said = f"no proof: {trial.remarks[0]}"
    return Beside(size, PROOF, most, said, {"sent": trial.sent, **faults, "valid": trial.valid})


def taken(size: str, trials: Sequence[Trial], line_pps: float | None, setup: Setup) -> Beside:
    """The line about what came through when as much as possible was sent, and who did not do more.

    ``line_pps``: what the wires carry at most, None without one.
    """
    sent, came = most_of(trials), statistics.median(trial.received_pps for trial in trials)
    said = f"came through of {sent / 1e6:.2f} Mpps sent"
    figures: dict[str, float] = {"sent_pps": sent}
    if busy := [pmd["busy"] for trial in trials for pmd in trial.counters.get("ovs", {}).get("pmd", {}).values()]:
        figures["busy"] = max(busy)
        said += f"; OVS's busiest PMD {max(busy):.1%} busy: {_limit(max(busy), sent, line_pps, setup)}"
    return Beside(size, MOST, came, said, figures)


def _limit(busy: float, sent: float, line_pps: float | None, setup: Setup) -> str:
    """Who it was that did not do more."""
    if setup.path.guests and setup.cpus.shared:
        return "the generator and the guests had too few CPUs for this to say whose limit it is"
    if line_pps and sent >= line_pps * FULL:
        return "the wire is the limit"
    if busy >= FULL:
        return "OVS is the limit"
    return "the generator or a guest is the limit" if setup.path.guests else "the generator is the limit"


def most_of(trials: Sequence[Trial]) -> float:
    """The median rate sent (pps, all streams); 0 when any trial sent nothing."""
    rates = [trial.sent_pps for trial in trials]
    return statistics.median(rates) if min(rates) else 0.0
