"""Runs in the format before identifiers (``"schema": 2``), translated into today's: some keys had spaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_KEYS = {
    "request": {"frame sizes": "frame_sizes", "stream notes": "stream_notes", "extra tests": "extra_tests"},
    "versions": {"DPDK (generator)": "generator_dpdk", "Open vSwitch": "open_vswitch"},
    "settings": {
        "PMD CPUs": "pmd_cpus",
        "generator's CPUs": "generator_cpus",
        "guests' CPUs": "guest_cpus",
        "generator sleeps when idle": "generator_idle_sleep",
        "generator's scheduling": "generator_scheduling",
        "MTU": "mtu",
    },
}


def upgrade_info(value: Any) -> Any:
    """``run.json``; any other schema is returned as it is."""
    if not _is_old(value):
        return value
    return {**value, "schema": 3, **{key: _renamed(value[key], names) for key, names in _KEYS.items() if key in value}}


def upgrade_results(value: Any) -> Any:
    """``results.json``: nothing but the number."""
    return {**value, "schema": 3} if _is_old(value) else value


def upgrade_trial(value: Any) -> Any:
    """A line of ``trials.ndjson``, which has no number: the counters of PMD threads."""
    try:
        threads = value["trial"]["counters"]["ovs"]["pmd"]
        if not any(" " in name for name in threads):
            return value
        threads = {
            _identifier(name): {_identifier(key): counts[key] for key in counts} for name, counts in threads.items()
        }
    except (KeyError, TypeError, AttributeError):
        return value  # no counters of Open vSwitch, or a damaged line, which the reader refuses
    trial = value["trial"]
    counters = {**trial["counters"], "ovs": {**trial["counters"]["ovs"], "pmd": threads}}
    return {**value, "trial": {**trial, "counters": counters}}


def _is_old(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("schema") == 2


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    return {names.get(key, key): item for key, item in value.items()} if isinstance(value, Mapping) else value


def _identifier(name: str) -> str:
    return re.sub(r"[ /]+", "_", name)
