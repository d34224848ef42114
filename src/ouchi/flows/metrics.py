"""``ouchi metrics``: readings of a host for Prometheus, one at a time and shared by the scrapes meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from ouchi.core.errors import BadInput
from ouchi.core.instance import Instance
from ouchi.flows.doctor import diagnose
from ouchi.live.host import WATCH_PATIENCE, read
from ouchi.machine import Machine
from ouchi.plan.target import Target
from ouchi.report.metrics import HostReading

WAIT_SECONDS = 9.0
"""How long a scrape waits; Prometheus gives up after 10 s (``scrape_timeout``)."""

T = TypeVar("T")


class Shared(Generic[T]):
    """A value that takes time to make: callers that come while one is being made get that one."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[T] | None = None

    def get(self, seconds: float) -> T:
        """The value. Raises :class:`TimeoutError` after ``seconds``, and whatever making it raised."""
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = self._pool.submit(self._make)
            pending = self._pending
        return pending.result(seconds)

    def close(self) -> None:
        """Make no more values."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def read_host(machine: Machine, instance: Instance, target: Callable[[], Target]) -> HostReading:
    """The live state and its checks, as ``ouchi doctor`` reads and evaluates them; no checks without a plan."""
    begin = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(read, machine, instance, seconds=WATCH_PATIENCE)
        try:
            expected = target()
        except BadInput:
            expected = None
        live = pending.result()
    diagnosis = diagnose(live, expected) if expected else None
    return HostReading(live, diagnosis, time.monotonic() - begin)
