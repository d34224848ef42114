"""Conflicts between values of a site.

Works on the values that are right by themselves, keyed by their path in the file, so that a site with a
wrong value elsewhere still has every conflict reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple

from ouchi.core.cpulist import format_cpus
from ouchi.site.models import POOLS
from ouchi.site.source import Path
from ouchi.site.text import did_you_mean, dotted, one_of, quoted

Values = Mapping[Path, Any]
"""Of one host."""

DISTINCT = 11
"""Characters of a physnet's name that are in the names of all its devices: ``out-`` comes before them."""

_APART = (("pmd", "host"), ("dedicated", "host"), ("dedicated", "pmd"), ("shared", "pmd"), ("shared", "dedicated"))


class Conflict(NamedTuple):
    """A value that cannot stand because of another."""

    path: Path
    claim: str
    found: str
    expected: str
    remedy: str = ""


def conflicts(values: Values) -> Iterator[Conflict]:
    """Every conflict among the valid `values` of a site, defaults included."""
    yield from _pools(values)
    for part, key in (("nics", "nic"), ("nics", "physnet"), ("networks", "name"), ("servers", "name")):
        yield from _twice(values, part, key)
    yield from _bridges(values)
    yield from _vlans(values)
    yield from _subnets(values)
    yield from _own_addresses(values)
    yield from _references(values)
    yield from _addresses(values)
    yield from _forwarders(values)
    yield from _vf_settings(values)


def _pools(values: Values) -> Iterator[Conflict]:
    for pool, other in _APART:
        path = ("cpus", pool)
        common = set(values.get(path) or ()) & set(values.get(("cpus", other)) or ())
        if common:
            yield Conflict(
                path,
                f"the pools {pool} and {other} overlap",
                f"CPU {format_cpus(common)} in both",
                f"no CPU in both {pool} and {other}",
            )
    forbidden = set(values.get(("cpus", "forbidden")) or ())
    for pool in POOLS:
        path = ("cpus", pool)
        if common := forbidden & set(values.get(path) or ()):
            claim = f"the pool {pool} has CPUs that are forbidden"
            yield Conflict(path, claim, f"CPU {format_cpus(common)}", f"no CPU in both {pool} and forbidden")
    if values.get(("cpus", "pmd")) and values.get(("cpus", "pmd_cores")):
        claim = "the PMD threads' CPUs are given twice"
        yield Conflict(("cpus", "pmd_cores"), claim, "pmd and pmd_cores", "one of the two")


def _twice(values: Values, part: str, key: str) -> Iterator[Conflict]:
    seen: dict[str, Path] = {}
    for path, value in _column(values, part, key):
        if value in seen:
            claim = f"the {key} {quoted(value)} is there twice"
            bond = "; bonds of NICs are not supported (docs/limits.md)" if key == "physnet" else ""
            yield Conflict(path, claim, f"also {dotted(seen[value])}", f"each {key} once in {part}{bond}")
        seen.setdefault(value, path)


def _bridges(values: Values) -> Iterator[Conflict]:
    """The names of devices for a physnet end in its name, cut to the 15 characters that the kernel allows."""
    seen: dict[str, str] = {}
    known: set[str] = set()
    for path, physnet in sorted((*_column(values, "nics", "physnet"), *_column(values, "networks", "physnet"))):
        if physnet in known:
            continue
        known.add(physnet)
        if physnet == "int":
            yield Conflict(
                path, "no physnet can be called int", "its bridge would be br-int, OVN's own", "another name"
            )
        first = seen.setdefault(physnet[:DISTINCT], physnet)
        if first != physnet:
            claim = f"the physnets {quoted(first)} and {quoted(physnet)} would share a bridge"
            expected = f"names that differ in their first {DISTINCT} characters"
            yield Conflict(path, claim, f"both begin with {quoted(first[:DISTINCT])}", expected)


def _vlans(values: Values) -> Iterator[Conflict]:
    seen: dict[tuple[str, int], Path] = {}
    for path, vlan in _column(values, "networks", "vlan"):
        physnet = values.get((*path[:-1], "physnet"))
        if physnet is None:
            continue
        if (physnet, vlan) in seen:
            claim = f"VLAN {vlan} is there twice on {physnet}"
            yield Conflict(path, claim, f"also {dotted(seen[physnet, vlan])}", f"each VLAN once on {physnet}")
        seen.setdefault((physnet, vlan), path)


def _subnets(values: Values) -> Iterator[Conflict]:
    """Networks are nested or apart, so in address order only the ones still open can overlap the next."""
    open_: list[tuple[IPv4Network, Path]] = []
    for path, subnet in sorted(_column(values, "networks", "subnet"), key=lambda item: (item[1], item[0])):
        while open_ and not subnet.subnet_of(open_[-1][0]):
            open_.pop()
        if open_:
            _, other_path = open_[-1]
            later, first = max(path, other_path), min(path, other_path)
            found = f"{values[later]} and {values[first]} of {dotted(first[:-1])}"
            yield Conflict(later, "two subnets overlap", found, "subnets without a common address")
        open_.append((subnet, path))


def _own_addresses(values: Values) -> Iterator[Conflict]:
    for key in ("gateway", "endpoint"):
        for path, address in _column(values, "networks", key):
            yield from _in_subnet(path, address, values.get((*path[:-1], "subnet")))
    for path, endpoint in _column(values, "networks", "endpoint"):
        if endpoint == values.get((*path[:-1], "gateway")):
            yield Conflict(path, "the endpoint has the gateway's address", str(endpoint), "an address of its own")


def _references(values: Values) -> Iterator[Conflict]:
    names = {name for _, name in _column(values, "networks", "name")}
    for path, name in _ports(values, "network"):
        if name not in names:
            claim = f"there is no network {quoted(name)}"
            yield Conflict(path, claim, quoted(name), one_of(names), did_you_mean(name, names))


def _addresses(values: Values) -> Iterator[Conflict]:
    networks = {name: path[:-1] for path, name in reversed(list(_column(values, "networks", "name")))}
    seen: dict[tuple[Any, IPv4Address], Path] = {}
    for path, address in _ports(values, "address"):
        name = values.get((*path[:-1], "network"))
        if name not in networks:
            continue
        network = networks[name]
        yield from _in_subnet(path, address, values.get((*network, "subnet")))
        if address == values.get((*network, "endpoint")):
            claim = "the port has the address of the network's endpoint"
            yield Conflict(path, claim, f"{address}, also {dotted(network)}.endpoint", "an address of its own")
        if address == values.get((*network, "gateway")) and values.get((*path[:2], "forwards")) is False:
            yield Conflict(
                path,
                "the port has the address of the network's gateway, but the server does not forward",
                f"{address}, also {dotted(network)}.gateway",
                "an address of its own, or a server with forwards: true",
            )
        if (name, address) in seen:
            found = f"{address}, also {dotted(seen[name, address])}"
            yield Conflict(path, f"the address is there twice on {name}", found, "an address of its own")
        seen.setdefault((name, address), path)


def _forwarders(values: Values) -> Iterator[Conflict]:
    ports: dict[Path, set[Path]] = {}
    for path in values:
        if path[0] == "servers" and len(path) == 5 and path[2] == "ports":
            ports.setdefault(path[:2], set()).add(path[:4])
    for path, forwards in _column(values, "servers", "forwards"):
        # No valid port at all: there is an error about the ports already.
        if forwards and len(ports.get(path[:2], ())) == 1:
            claim = "a server that forwards has one port only"
            yield Conflict(path, claim, "1 port", "at least 2 ports", "add a port, or take forwards away")


def _vf_settings(values: Values) -> Iterator[Conflict]:
    for path, role in _column(values, "nics", "role"):
        vfs = values.get((*path[:-1], "vfs"))
        if vfs is not None and (role == "sriov") != (vfs > 0):
            claim = "the NIC has no VFs" if vfs == 0 else "only NICs with role sriov have vfs"
            yield Conflict((*path[:-1], "vfs"), claim, f"role {role}, vfs {vfs}", "vfs with role sriov, and only there")
        for key, usual in (("vlan", None), ("trust", False), ("spoof_check", True)):
            value = values.get((*path[:-1], key), usual)
            if role != "sriov" and value != usual:
                claim = f"{key} is for VFs, which only NICs with role sriov have"
                text = str(value).lower()
                yield Conflict((*path[:-1], key), claim, f"role {role}, {key} {text}", f"{key} with role sriov only")


def _in_subnet(path: Path, address: IPv4Address, subnet: IPv4Network | None) -> Iterator[Conflict]:
    if subnet is None:
        return
    first, last = subnet.network_address + 1, subnet.broadcast_address - 1
    if not first <= address <= last:
        what = "is not in the network's subnet" if address not in subnet else "is not one that a host can have"
        claim = f"the address of {dotted(path)} {what}"
        yield Conflict(path, claim, str(address), f"an address from {first} to {last}")


def _column(values: Values, part: str, key: str) -> Iterator[tuple[Path, Any]]:
    """The values of `key` in every item of `part`, in the order of the file; what is left out is not there."""
    for path, value in values.items():
        if len(path) == 3 and path[0] == part and path[2] == key and value is not None:
            yield path, value


def _ports(values: Values, key: str) -> Iterator[tuple[Path, Any]]:
    for path, value in values.items():
        if len(path) == 5 and path[0] == "servers" and path[2] == "ports" and path[4] == key and value is not None:
            yield path, value
