"""What the endpoints' own wire lost while ``up`` verified the host."""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.checks.model import Level, Observation, check, judge
from ouchi.core.errors import warning
from ouchi.live.host import SWITCH, Live
from ouchi.live.wire import Hop
from ouchi.plan.target import Target
from ouchi.plan.values import counted


@check("wire.frames", Level.LOSS, "the endpoint's own wire loses no frame", SWITCH)
def own_wire(live: Live, _target: Target) -> Observation | None:
    """Look at what the last verification counted; does not apply where there was none, or no endpoint."""
    return judge_hops(live.switch.hops) if live.switch.hops else None


def judge_hops(hops: Sequence[Hop]) -> Observation:
    """Look for frames that verification itself sent or was sent, and that its own wire lost."""
    own = [hop for hop in hops if hop.own]
    problems = [
        warning(
            f"verification's own wire lost {counted(hop.lost, 'frame')}",
            where=hop.name,
            found=f"{hop.sent} sent, {hop.arrived} arrived",
            expected="as many arrived as sent",
            remedy="with less load on this host: ouchi up",
            why="lost pings, datagrams and TCP's retransmissions on this host are then not the guests' loss",
        )
        for hop in own
        if hop.lost
    ]
    return judge(problems, f"{sum(hop.sent for hop in own)} frames on {counted(len(own), 'hop')}, 0 lost")
