"""Checks of Open vSwitch apply where there is one, and are unknown where it did not answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from ouchi.checks.model import Evaluate, Seen, unknown
from ouchi.live.host import Live
from ouchi.live.ovs import ENABLED, NONE
from ouchi.plan.target import Target

ONLY_ROOT = "only root may query Open vSwitch: sudo ouchi doctor"
NOT_RUNNING = "ovs-vswitchd does not run"


def runs(live: Live) -> bool:
    """Return whether the ovs-vswitchd of the pid file is a process."""
    return live.switch.whose not in (NONE, ENABLED) and any(thread.pid == live.switch.pid for thread in live.threads)


def answered(*queries: str, daemon: bool = False) -> Callable[[Evaluate], Evaluate]:
    """Evaluate a check only where there is an Open vSwitch; it is unknown where one of ``queries`` failed.

    ``daemon``: the check also needs a running ovs-vswitchd, not just the database.
    """

    def decorate(evaluate: Evaluate) -> Evaluate:
        @wraps(evaluate)
        def wrapped(live: Live, target: Target) -> Seen | None:
            switch = live.switch
            if switch.whose in (NONE, ENABLED):
                return None
            if daemon and not runs(live):
                return unknown(NOT_RUNNING)
            if failed := [query for query in queries if query in switch.failed]:
                return unknown(switch.failed[failed[0]] if live.root else ONLY_ROOT)
            return evaluate(live, target)

        return wrapped

    return decorate
