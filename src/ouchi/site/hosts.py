"""A file with several hosts: one site for each of them, and the choice by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ouchi.core.errors import BadInput, error
from ouchi.machine.ssh.address import parse_address
from ouchi.site.conflicts import Conflict
from ouchi.site.models import Host, Site
from ouchi.site.source import Path, Position, Source
from ouchi.site.text import did_you_mean, dotted, one_of, quoted

OWN = tuple(Host.model_fields)
"""The keys that a host may set in place of the file."""


def has_hosts(source: Source) -> bool:
    """True when the file is about several hosts."""
    return isinstance(source.data, dict) and "hosts" in source.data


def split(source: Source) -> tuple[Source, ...]:
    """The file as each of its hosts has it, with the same positions; items that are no host are skipped."""
    if not has_hosts(source) or not isinstance(source.data, dict):
        return (source,)
    hosts = source.data["hosts"]
    if not isinstance(hosts, list):
        return ()
    positions, keys = _grouped(source.positions), _grouped(source.keys)
    shared = {key: value for key, value in source.data.items() if key != "hosts"}
    return tuple(
        _one(source, shared, host, (positions, keys), number)
        for number, host in enumerate(hosts)
        if isinstance(host, dict)
    )


Groups = tuple[Mapping[Path, Position], Mapping[object, Mapping[Path, Position]]]
"""The positions of what all hosts have, and those of each host by its number, relative to it."""


def between(values: Mapping[Path, Any]) -> Iterator[Conflict]:
    """Conflicts between the hosts of a file; ``values`` are those of the whole file."""
    names: dict[str, Path] = {}
    addresses: dict[tuple[str, int], Path] = {}
    for path, name in values.items():
        if len(path) != 3 or path[0] != "hosts" or path[2] != "name":
            continue
        if name in names:
            yield Conflict(
                path, f"the name {quoted(name)} is there twice", f"also {dotted(names[name])}", "each host once"
            )
        names.setdefault(name, path)
        address_path = (*path[:2], "address")
        address = values.get(address_path) or values.get(("address",))
        if address is None:
            continue
        parsed = parse_address(address)
        key = parsed.host.lower(), parsed.port
        if key in addresses:
            found = f"{address}, also {dotted(addresses[key])}"
            yield Conflict(
                address_path, f"the address {quoted(address)} is there twice", found, "an address of its own"
            )
        addresses.setdefault(key, address_path)


def choose(sites: Sequence[Site], names: Sequence[str]) -> tuple[Site, ...]:
    """The sites of these hosts, in the file's order; all without a name. Raises :class:`BadInput` for a name that is not there."""
    known = [site.name for site in sites]
    if unknown := [name for name in dict.fromkeys(names) if name not in known]:
        raise BadInput(
            error(
                f"there is no host {quoted(name)} in the site file",
                where="--host",
                found=quoted(name),
                expected=one_of(known),
                remedy=did_you_mean(name, known),
            )
            for name in unknown
        )
    return tuple(site for site in sites if not names or site.name in names)


def _grouped(positions: Mapping[Path, Position]) -> Groups:
    shared: dict[Path, Position] = {}
    own: dict[object, dict[Path, Position]] = {}
    for path, position in positions.items():
        if path[:1] != ("hosts",):
            shared[path] = position
        elif len(path) > 1:
            own.setdefault(path[1], {})[path[2:]] = position
    return shared, own


def _one(
    source: Source, shared: Mapping[str, object], host: Mapping[str, object], groups: tuple[Groups, Groups], number: int
) -> Source:
    own = {key: host[key] for key in OWN if host.get(key) is not None}
    positions, keys = (_moved(group, number, own) for group in groups)
    return replace(source, data={**shared, **own}, positions=positions, keys=keys, twice=())


def _moved(groups: Groups, number: int, own: Mapping[str, object]) -> dict[Path, Position]:
    """The positions of the values of a host: its own, and for the rest those of the file."""
    shared, of_hosts = groups
    found = {path: position for path, position in shared.items() if path and path[0] not in own}
    mine = of_hosts.get(number, {})
    return found | {path: position for path, position in mine.items() if not path or path[0] in own}
