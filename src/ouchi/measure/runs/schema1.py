"""Runs in the format of ouchi 0.1 (``"schema": 1``), translated into schema 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INFO = {"began": "started", "what": "request"}
_RESULTS = {"beside": "extras"}
_EXTRA = {"what": "name", "said": "text"}
_TRIAL = {"began": "started", "problems": "invalid", "shortfalls": "under_offered", "doubts": "tester_suspect"}
_STREAM = {
    "sent_from": "tx_port",
    "received_at": "rx_port",
    "refused": "tx_backpressure",
    "doubtful": "rx_overrun_suspect",
}


def upgrade_info(value: Any) -> Any:
    """``run.json``; any other schema is returned as it is."""
    return {**_renamed(value, _INFO), "schema": 2} if _is_old(value) else value


def upgrade_results(value: Any) -> Any:
    """``results.json``."""
    if not _is_old(value):
        return value
    new = {**_renamed(value, _RESULTS), "schema": 2}
    return {**new, "extras": _each(new.get("extras", []), _EXTRA)}


def upgrade_trial(value: Any) -> Any:
    """A line of ``trials.ndjson``: the trial had no object of its own."""
    if not isinstance(value, Mapping) or "trial" in value:
        return value
    trial = _renamed(value, _TRIAL)
    if "streams" in trial:
        trial["streams"] = _each(trial["streams"], _STREAM)
    return {**{key: value[key] for key in ("size", "repeat") if key in value}, "trial": trial}


def _is_old(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("schema") == 1


def _each(items: Any, names: Mapping[str, str]) -> Any:
    return [_renamed(item, names) for item in items] if isinstance(items, list) else items


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    return {names.get(key, key): item for key, item in value.items()} if isinstance(value, Mapping) else value
