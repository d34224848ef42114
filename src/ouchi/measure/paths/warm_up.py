"""Warm-up: learning frames (RFC 2544 section 23) until MAC addresses are learnt and the flow caches are primed."""

from __future__ import annotations

from ouchi.core.errors import Failed
from ouchi.measure.paths.open import OpenPath

MIN_PPS, SECONDS, ATTEMPTS = 2000.0, 0.2, 10
MAX_FLOWS = 10_000
"""Of up to so many flows each is sent at least once; more would only fill the same caches."""


def warm_up(path: OpenPath, size: str) -> None:
    """Send at a low rate in both directions, also where one is measured: addresses are learnt from senders.

    Raises Failed when frames are lost or addresses or flows are not learnt after the last attempt.
    """
    traffic = path.traffic(size, bidirectional=True)
    pps = max(MIN_PPS, min(path.request.flows, MAX_FLOWS) / SECONDS)
    for _ in range(ATTEMPTS):
        last = traffic.trial(pps * traffic.streams, SECONDS, "warm-up")
        missing = path.datapath.not_learnt()
        if last.sent and last.lost == 0 and not missing:
            return
    streams = (f"{one.stream}: {one.sent} sent, {one.received} received" for one in last.streams)
    raise Failed.of(
        f"the path {path.request.path.name} does not forward frames",
        found="; ".join([*streams, *missing]),
        expected=f"no loss at {pps:,.0f} pps in each direction, addresses and flows learnt",
        remedy="ouchi status; ouchi logs ovs-vswitchd",
    )
