"""Every part of a host, found by looking through the modules of :mod:`ouchi.parts`: no list to keep."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module

import ouchi.parts
from ouchi.parts.part import PLAN, Endpoint, Part
from ouchi.parts.stages import STAGES


@cache
def all_parts() -> tuple[Part, ...]:
    """Every part after those that it needs; among parts that could come next, by stage and name.

    Raises :class:`ValueError` for two parts of one name, a need that is no part, and parts that need each other.
    """
    found = {part.name: part for module in _modules(ouchi.parts.__path__, "ouchi.parts") for part in module}
    return tuple(ordered(found.values()))


def ordered(parts: Iterable[Part]) -> list[Part]:
    """Parts in the order in which they are made."""
    by_name = {part.name: part for part in parts}
    if lost := {need for part in by_name.values() for need in part.needs} - by_name.keys() - {PLAN}:
        raise ValueError(f"needed by a part, but no part: {', '.join(sorted(lost))}")
    sorter = TopologicalSorter({part.name: [need for need in part.needs if need != PLAN] for part in by_name.values()})
    sorter.prepare()
    order: list[Part] = []
    ready: list[str] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        ready.sort(key=lambda name: (STAGES.index(by_name[name].stage), name))
        order.append(by_name[name := ready.pop(0)])
        sorter.done(name)
    return order


def _modules(path: Iterable[str], package: str) -> Iterable[tuple[Part, ...]]:
    for info in pkgutil.iter_modules(path):
        module = import_module(f"{package}.{info.name}")
        if info.ispkg:
            yield from _modules(module.__path__, f"{package}.{info.name}")
        yield getattr(module, "PARTS", ())


def needs_of(part: Part) -> frozenset[str]:
    """The names of all parts that a part needs, directly or not."""
    by_name = {other.name: other for other in all_parts()}
    found: set[str] = set()
    waiting = list(part.needs)
    while waiting:
        if (name := waiting.pop()) in by_name and name not in found:
            found.add(name)
            waiting += by_name[name].needs
    return frozenset(found)


@cache
def ports() -> Mapping[str, int]:
    """Every TCP port by its name."""
    return {listener.name: listener.port for part in all_parts() for listener in part.ports}


@cache
def endpoints() -> Mapping[str, Endpoint]:
    """Every OpenStack API by its part's name."""
    return {part.name: part.endpoint for part in all_parts() if part.endpoint}


@cache
def secrets() -> tuple[str, ...]:
    """The name of every password."""
    return tuple(dict.fromkeys(name for part in all_parts() for name in part.secrets))


@cache
def schemas() -> Mapping[str, str]:
    """Every database, and for each the user that it belongs to."""
    return {schema: part.name for part in all_parts() for schema in part.schemas}
