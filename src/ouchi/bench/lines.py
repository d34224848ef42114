"""The lines of a run about the generator alone and about the most that a path took."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ouchi.errors import Failed, error
from ouchi.measure.recorded import Beside
from ouchi.measure.trial import Trial

MOST = "as much as possible offered"
PROOF = "the generator to itself, at most"
FULL = 0.95
"""The share of its cycles from which on a PMD is taken for the limit."""


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


def taken(size: str, trials: Sequence[Trial]) -> Beside:
    """The line about what came through when as much as possible was sent, and who did not do more."""
    came = statistics.median(trial.received_pps for trial in trials)
    sent = f"came through of {most_of(trials) / 1e6:.2f} Mpps sent"
    busy = [pmd["busy"] for trial in trials for pmd in trial.counters.get("ovs", {}).get("pmd", {}).values()]
    if not busy:
        return Beside(size, MOST, came, sent, {"sent_pps": most_of(trials)})
    share = max(busy)
    limit = "OVS is the limit" if share >= FULL else "the generator or a guest is the limit, not OVS"
    said = f"{sent}; OVS's busiest PMD {share:.1%} busy: {limit}"
    return Beside(size, MOST, came, said, {"sent_pps": most_of(trials), "busy": share})


def most_of(trials: Sequence[Trial]) -> float:
    """The median rate sent (pps, all streams); 0 when any trial sent nothing."""
    rates = [trial.sent_pps for trial in trials]
    return statistics.median(rates) if min(rates) else 0.0
