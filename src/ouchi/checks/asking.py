"""Asking Open vSwitch: only where there is one, and where it answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from ouchi.checks.values import Answer, Look, unknown
from ouchi.live.host import Live
from ouchi.live.ovs import ENABLED, NONE
from ouchi.plan.target import Target

ONLY_ROOT = "only root may ask Open vSwitch: sudo ouchi doctor"
NOT_RUNNING = "ovs-vswitchd does not run"


def running(live: Live) -> bool:
    """Whether the ovs-vswitchd of the pid file is a process."""
    return live.switch.whose not in (NONE, ENABLED) and any(thread.pid == live.switch.pid for thread in live.threads)


def asking(*parts: str, daemon: bool = False) -> Callable[[Look], Look]:
    """A check that means nothing without Open vSwitch, and cannot be made where one of ``parts`` did not answer.

    ``daemon``: it is ovs-vswitchd that is asked, and not the database.
    """

    def decorate(look: Look) -> Look:
        @wraps(look)
        def asked(live: Live, target: Target) -> Answer | None:
            switch = live.switch
            if switch.whose in (NONE, ENABLED):
                return None
            if daemon and not running(live):
                return unknown(NOT_RUNNING)
            if silent := [part for part in parts if part in switch.failed]:
                return unknown(switch.failed[silent[0]] if live.root else ONLY_ROOT)
            return look(live, target)

        return asked

    return decorate
