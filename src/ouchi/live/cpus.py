"""Idle states, exit latencies and thermal throttling of CPUs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ouchi.facts.reading import pairs, whole
from ouchi.live.sections import by_cpu

_STATE = re.compile(r"cpu([0-9]{1,4})/cpuidle/state([0-9]{1,2})/(name|latency|disable)")


@dataclass(frozen=True, slots=True)
class Idle:
    """An idle state of a CPU: its number, name, exit latency in µs, and whether it is disabled."""

    number: int
    name: str
    latency_us: int
    disabled: bool


def parse_throttles(text: str) -> dict[int, int]:
    """Return the thermal throttle events of each CPU, those of its core and its package together."""
    found: dict[int, int] = {}
    read = pairs(text, ":")
    for end in ("thermal_throttle/core_throttle_count", "thermal_throttle/package_throttle_count"):
        for cpu, count in by_cpu(read, end).items():
            found[cpu] = found.get(cpu, 0) + max(0, whole(count, 0))
    return found


def parse_idle(cpu: Mapping[str, str]) -> dict[int, tuple[Idle, ...]]:
    """Return the idle states of each CPU from the values below /sys/devices/system/cpu."""
    read: dict[tuple[int, int], dict[str, str]] = {}
    for path, value in cpu.items():
        if match := _STATE.fullmatch(path):
            read.setdefault((int(match[1]), int(match[2])), {})[match[3]] = value
    found: dict[int, list[Idle]] = {}
    for (number, state), keys in sorted(read.items()):
        latency = max(0, whole(keys.get("latency", ""), 0))
        disabled = keys.get("disable", "0") not in ("", "0")
        found.setdefault(number, []).append(Idle(state, keys.get("name", ""), latency, disabled))
    return {number: tuple(states) for number, states in found.items()}


def parse_resume(cpu: Mapping[str, str]) -> dict[int, int]:
    """Return the exit latency requested for single CPUs, in µs.

    ``n/a`` allows none at all, 0 stands for no request (sysfs-devices-power).
    """
    read = by_cpu(cpu, "power/pm_qos_resume_latency_us")
    return {number: max(0, whole(text, 0)) for number, text in read.items() if text != "0"}


def parse_clocks(cpu: Mapping[str, str]) -> dict[int, tuple[int, int]]:
    """Return the highest clock that each CPU may have and the highest that it can have, in kHz."""
    limits, most = (by_cpu(cpu, f"cpufreq/{name}_max_freq") for name in ("scaling", "cpuinfo"))
    found = {number: (whole(text, 0), whole(most.get(number, ""), 0)) for number, text in limits.items()}
    return {number: clocks for number, clocks in found.items() if min(clocks) > 0}


def parse_boost(cpu: Mapping[str, str]) -> bool | None:
    """Return whether CPUs may exceed their base clock; None where the kernel does not show it.

    ``cpufreq/boost`` (admin-guide/pm/cpufreq.rst), of intel_pstate ``no_turbo`` (admin-guide/pm/intel_pstate.rst).
    """
    if (text := cpu.get("cpufreq/boost")) in ("0", "1"):
        return text == "1"
    if (text := cpu.get("intel_pstate/no_turbo")) in ("0", "1"):
        return text == "0"
    return None
