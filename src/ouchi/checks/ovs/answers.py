"""Checks of Open vSwitch apply where there is one, and are unknown where it did not answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from ouchi.checks.model import Evaluate, Seen, unknown
from ouchi.live.host import Live
from ouchi.live.ovs import ENABLED, NONE, SILENT
from ouchi.plan.target import Target

ONLY_ROOT = "only root may query Open vSwitch: sudo ouchi doctor"
NOT_RUNNING = "ovs-vswitchd does not run"
STOPPED = "ovs-vswitchd is stopped"


def runs(live: Live) -> bool:
    """Return whether the ovs-vswitchd of the pid file is a process."""
    return live.switch.whose not in (NONE, ENABLED) and any(thread.pid == live.switch.pid for thread in live.threads)


def stopped(live: Live) -> bool:
    """Return whether a signal or a debugger has stopped ovs-vswitchd."""
    return any(thread.stopped for thread in live.threads if thread.pid == live.switch.pid)


def silence(live: Live) -> str:
    """Return why ovs-vswitchd answers nothing; empty where it answers, or only root may query it."""
    if not runs(live):
        return NOT_RUNNING
    if stopped(live):
        return STOPPED
    return next((error for query, error in live.switch.failed.items() if query != "tables" and SILENT in error), "")


def answered(*queries: str, daemon: bool = False) -> Callable[[Evaluate], Evaluate]:
    """Evaluate a check only where there is an Open vSwitch; it is unknown where one of ``queries`` failed.

    ``daemon``: the check also needs an ovs-vswitchd that answers. Without one the database still has what it last
    wrote there (status, statistics, errors and links of ports), however long ago that was.
    """

    def decorate(evaluate: Evaluate) -> Evaluate:
        @wraps(evaluate)
        def wrapped(live: Live, target: Target) -> Seen | None:
            if live.switch.whose in (NONE, ENABLED):
                return None
            if daemon and (reason := silence(live)):
                return unknown(reason)
            failed = {**live.switch.failed, **live.counters.failed}
            if errors := [failed[query] for query in queries if query in failed]:
                return unknown(errors[0] if live.root else ONLY_ROOT)
            return evaluate(live, target)

        return wrapped

    return decorate
