"""``ouchi top``: the rates of a host, again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ouchi.core.instance import Instance
from ouchi.live.host import WATCH_PATIENCE, Live, read
from ouchi.live.rates import Rates, rates
from ouchi.machine import Machine


def watch(
    machine: Machine, instance: Instance, pause: Callable[[], bool], *, last: int | None = None
) -> Iterator[Rates]:
    """Yield the rates of the sample, then those since the reading before, until ``pause`` returns False.

    At most ``last`` times. Nothing is changed.
    """
    earlier: Live | None = None
    count = 0
    while True:
        live = read(machine, instance, seconds=WATCH_PATIENCE)
        yield rates(live, earlier)
        earlier, count = live, count + 1
        if count == last or not pause():
            return
