"""Pings of a route: which answers are an error, which a warning."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ouchi.checks.traffic import Route, ping_finding
from ouchi.core.errors import Severity
from ouchi.core.instance import Instance
from ouchi.machine import Machine, Result

ROUTE = Route("right", "endpoint", "10.101.0.10", ("right", "left"), "forwarder")


class Pings:
    """A machine whose every ping with a count of three receives the next number of answers."""

    def __init__(self, *received: int) -> None:
        self.received = list(received)

    def run(self, argv: tuple[str, ...], **_: Any) -> Result:
        if "-i" not in argv:
            return Result(argv, 0, "", "")
        received = self.received.pop(0)
        text = f"3 packets transmitted, {received} received, {100 - received / 0.03:g}% packet loss, time 102ms\n"
        return Result(argv, 0 if received else 1, text, "")


@pytest.mark.parametrize(
    ("received", "severity"),
    [
        ((3,), None),
        ((2, 3), Severity.WARNING),
        ((1, 2, 3), Severity.WARNING),
        ((2, 2, 1), Severity.ERROR),
        ((0,), Severity.ERROR),
        ((2, 0), Severity.ERROR),
    ],
)
def test_lost_pings(received: tuple[int, ...], severity: Severity | None) -> None:
    machine = Pings(*received)
    found = ping_finding(cast("Machine", machine), Instance(), ROUTE)
    assert (found.severity if found else None) is severity
    assert machine.received == []
    if found:
        assert "received" in found.found
