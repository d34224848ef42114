"""Teaching: a few frames each way at a low rate, until the path carries them and knows their addresses and flows."""

from __future__ import annotations

from ouchi.core.errors import Failed, error
from ouchi.measure.paths.open import Opened
from ouchi.measure.search.trial import Trial

LEAST_PPS, SECONDS, TRIES = 2000.0, 0.2, 10
MOST_FLOWS = 10_000
"""Of so many flows each is sent at least once; more only mean more entries in the same cache."""


def teach(opened: Opened, size: str, flows: int) -> None:
    """Both directions, though only one may be measured: an address is learnt from what it sends.

    Raises Failed when frames are still lost, or something is still not learnt, after the last try.
    """
    traffic = opened.traffic(size, flows, both=True)
    each = max(LEAST_PPS, min(flows, MOST_FLOWS) / SECONDS)
    for _ in range(TRIES):
        last = traffic.trial(each * traffic.streams, SECONDS, "teach")
        unlearnt = opened.carrier.unlearnt()
        if last.sent and last.lost == 0 and not unlearnt:
            return
    raise Failed(
        error(
            f"the path {opened.setup.path.name} does not carry frames",
            found="; ".join([_by_stream(last), *unlearnt]),
            expected=f"no loss at {each:,.0f} pps each way, addresses and flows learnt",
            remedy="ouchi status; ouchi logs ovs-vswitchd",
        )
    )


def _by_stream(trial: Trial) -> str:
    return "; ".join(f"{one.stream}: {one.sent} sent, {one.received} received" for one in trial.streams)
