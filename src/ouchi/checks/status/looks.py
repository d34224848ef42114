"""Looking at many parts side by side, within a bound: what hangs is said to hang, and nothing waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ouchi.checks.status.values import Part, not_asked
from ouchi.core.errors import OuchiError

See = Callable[[], Sequence[Part]]


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at: what it shows, the services that it asks, and how."""

    layer: str
    name: str
    needs: tuple[str, ...]
    see: See

    def wrong(self, state: str, found: str) -> Part:
        """The look itself as a part that did not work."""
        remedy = f"ouchi logs {self.needs[-1]}" if self.needs else "ouchi up"
        return Part(self.layer, "", self.name, state, False, found, "an answer", remedy=remedy)


def look_together(looks: Sequence[Look], running: Collection[str], seconds: float) -> list[Part]:
    """What every look sees, in their order.

    A look whose services are not all ``running`` is not tried; one that has not ended after ``seconds`` is left
    behind (its thread dies with the process).
    """
    seen: dict[str, Sequence[Part]] = {}
    end = time.monotonic() + seconds
    threads = []
    for look in looks:
        if down := next((name for name in look.needs if name not in running), ""):
            seen[look.name] = [not_asked(look.layer, look.name, down)]
        else:
            threads.append(threading.Thread(target=_see, args=(look, seen), daemon=True))
            threads[-1].start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    found = dict(seen)  # a late answer changes nothing any more
    return [
        part
        for look in looks
        for part in found.get(look.name) or [look.wrong("silent", f"no answer within {seconds:g} s")]
    ]


def _see(look: Look, seen: dict[str, Sequence[Part]]) -> None:
    try:
        parts = look.see()
    except OuchiError as reason:
        parts = [look.wrong("unknown", reason.findings[0].found or reason.findings[0].claim)]
    except Exception as reason:  # noqa: BLE001  # parts that die while they are asked fail in many ways
        parts = [look.wrong("unknown", f"{type(reason).__name__}: {reason}".splitlines()[0][:300])]
    seen[look.name] = parts
