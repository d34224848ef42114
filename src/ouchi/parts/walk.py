"""Read the state of many parts in parallel, within a time limit: a part that hangs is reported, and nothing waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ouchi.core.errors import OuchiError
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, unknown


def look_at(at: Context, parts: Sequence[Part], seconds: float) -> Mapping[str, PartState]:
    """Return the state of every part by name.

    One that does not answer within ``seconds`` is left behind (its thread ends with the process), and one that fails
    while it is looked at is unknown.
    """
    at.running  # noqa: B018  # asked once, before the threads
    seen: dict[str, PartState] = {}
    threads = [threading.Thread(target=_look, args=(at, part, seen), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    found = dict(seen)  # a late answer changes nothing any more
    silent = PartState(False, "silent", f"no answer within {seconds:g} s")
    return {part.name: found.get(part.name, silent) for part in parts}


def _look(at: Context, part: Part, seen: dict[str, PartState]) -> None:
    try:
        state = part.look(at)
    except PermissionError as reason:
        state = _unreadable(at, part, f"only root may read {reason.filename}")
    except OuchiError as reason:
        state = _unreadable(at, part, reason.findings[0].found or reason.findings[0].claim)
    except Exception as reason:  # noqa: BLE001  # what dies while it is looked at fails in many ways
        state = _unreadable(at, part, f"{type(reason).__name__}: {reason}".splitlines()[0][:300])
    seen[part.name] = state


def _unreadable(at: Context, part: Part, reason: str) -> PartState:
    """The state of a part that fails while it is looked at, with the supervisor's view of its programs."""
    services = tuple(at.states[name] for name in part.service_names if name in at.states)
    return replace(unknown(reason), services=services)
