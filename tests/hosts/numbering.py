"""Which CPU is which thread of which core: the numbers Linux gives, from a host's runs of cores."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from tests.hosts.description import Cores, Host

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Position:
    """One CPU: its core's id and run, all CPUs of the core, and the keys of the L2 and L3 cache it shares."""

    cpu: int
    core_id: int
    run: Cores
    siblings: tuple[int, ...]
    l2: tuple[int, int]
    online: bool

    @property
    def package(self) -> int:
        """The package it is in."""
        return self.run.package


def positions(host: Host) -> tuple[Position, ...]:
    """Every CPU by number."""
    cores = [(run, number, index) for number, run in enumerate(host.cores) for index in range(run.count)]
    if host.numbering == "alternating":
        cores = _by_turns(cores)
    threads: list[list[int]] = [[] for _ in cores]
    for cpu, number in enumerate(_order(host.numbering, [run.threads for run, _, _ in cores])):
        threads[number].append(cpu)
    offline = set(host.offline)
    found = []
    for (run, number, index), cpus in zip(cores, threads, strict=True):
        online = tuple(cpu for cpu in cpus if cpu not in offline)
        core_id, l2 = run.first_id + index * run.id_step, (number, index // run.l2_cores)
        found += [Position(cpu, core_id, run, online, l2, cpu not in offline) for cpu in cpus]
    return tuple(sorted(found, key=lambda position: position.cpu))


def _by_turns(cores: list[tuple[Cores, int, int]]) -> list[tuple[Cores, int, int]]:
    """The first core of each package, then the second of each …"""
    packages: dict[int, list[tuple[Cores, int, int]]] = {}
    for core in cores:
        packages.setdefault(core[0].package, []).append(core)
    return [core for turn in zip_longest(*packages.values()) for core in turn if core]


def _order(numbering: str, threads: list[int]) -> list[int]:
    """The core of each CPU in turn, from how many threads each core has."""
    if numbering == "adjacent":
        return [core for core, count in enumerate(threads) for _ in range(count)]
    return [core for turn in range(max(threads)) for core, count in enumerate(threads) if turn < count]


def shared(cpus: tuple[Position, ...], key: Callable[[Position], Key]) -> dict[Key, tuple[int, ...]]:
    """The online CPUs by what they share, ascending."""
    groups: dict[Key, list[int]] = {}
    for position in cpus:
        if position.online:
            groups.setdefault(key(position), []).append(position.cpu)
    return {name: tuple(members) for name, members in groups.items()}
