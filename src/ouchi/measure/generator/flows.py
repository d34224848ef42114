"""Flows: which header fields change from one packet to the next, so that a switch sees 1 to 10 million of them.

Several fields make a grid. The first in the list changes with every packet, the next one when the first has been
through its values, and so on; each takes as many of the flows as it has room for, so by default there are up to some
64,000 source ports and only then more source addresses. The product is exactly the number of flows asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal

from ouchi.core.errors import BadInput, Finding, error
from ouchi.measure.generator.frames import Headers, Layout, layouts, parse_ip

MOST_FLOWS = 10_000_000
MOST_FIELDS = 8
"""As many as the generator changes in one stream."""

Kind = Literal["increment", "random", "list"]


@dataclass(frozen=True, slots=True)
class Vary:
    """A header field that changes.

    ``field``: ``src_port``, ``dst_port``, ``src_ip``, ``dst_ip`` (of IPv6 the last four bytes), ``vlan`` (the
    innermost tag) or ``outer_vlan`` (the outermost of two); with ``inner_`` before it, that of a tunnel's inner frame.
    ``increment`` counts up from what the headers say by ``step`` and begins again; ``random`` draws one of those same
    values for each packet, so that the flows are all there only after a while; ``list`` goes through ``values``
    (numbers, or addresses as text).
    """

    field: str
    kind: Kind = "increment"
    step: int = 1
    values: tuple[int | str, ...] = ()


BY_PORT_THEN_ADDRESS = (Vary("src_port"), Vary("src_ip"))


@dataclass(frozen=True, slots=True)
class Field:
    """A number in the frame that the generator changes: ``width`` bytes at ``offset``, big endian.

    Of the packet number ``n`` (from 0) it is ``first + step * (n // every % count)`` for ``increment``,
    ``values[n // every % count]`` for ``list``, and ``first + step * r`` with an ``r`` below ``count`` drawn for each
    packet for ``random``. ``checksums`` are the byte offsets of the 16-bit ones' complement checksums that cover it.
    """

    offset: int
    width: int
    kind: Kind
    first: int
    step: int
    count: int
    values: tuple[int, ...] = ()
    every: int = 1
    checksums: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What the generator is told: members that its kind does not have are left out."""
        place = {"offset": self.offset, "width": self.width, "kind": self.kind, "checksums": list(self.checksums)}
        if self.kind == "list":
            return place | {"values": list(self.values), "every": self.every}
        return place | {"first": self.first, "step": self.step, "count": self.count, "every": self.every}


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a field stands, what it holds now, and the values it may take; ``address`` is the whole of an address."""

    offset: int
    width: int
    now: int
    least: int
    most: int
    checksums: tuple[int, ...]
    address: IPv4Address | IPv6Address | None = None

    def number(self, value: int | str) -> int | None:
        """What a list's value writes into the field; None when it cannot."""
        if isinstance(value, str):
            address = parse_ip(value)
            if address is None or self.address is None or address.version != self.address.version:
                return None
            if int(address) >> 32 != int(self.address) >> 32:
                return None
            value = int(address) & 0xFFFFFFFF
        return value if self.least <= value <= self.most else None


def fields_for(headers: Headers, flows: int, vary: Sequence[Vary], where: str = "stream") -> tuple[Field, ...]:
    """The fields that make ``flows`` different flows of good headers.

    Raises :class:`BadInput` with everything that is wrong: fields that the headers do not have, values that do not
    fit, a number of flows that the fields cannot make exactly.
    """
    spots = {name: _spot(headers, name) for name in {wish.field for wish in vary}}
    findings = [*_flow_findings(flows, where), *_vary_findings(vary, spots, where)]
    if findings:
        raise BadInput(findings)
    counts = _shares(flows, tuple(_room(wish, spots[wish.field]) for wish in vary))
    if counts is None:
        raise BadInput(_no_grid(flows, vary, spots, where))
    return tuple(_fields(vary, counts, spots))


def _fields(vary: Sequence[Vary], counts: tuple[int, ...], spots: dict[str, _Spot | None]) -> Iterator[Field]:
    every = 1
    for wish, count in zip(vary, counts, strict=True):
        spot = spots[wish.field]
        assert spot is not None  # noqa: S101 - the findings have seen to it
        place = (spot.offset, spot.width, wish.kind)
        if wish.kind == "list":
            values = tuple(spot.number(value) or 0 for value in wish.values[:count])
            yield Field(*place, values[0], 0, count, values, every, spot.checksums)
        elif count > 1:
            slow = every if wish.kind == "increment" else 1
            yield Field(*place, spot.now, wish.step, count, (), slow, spot.checksums)
        # Random fields are drawn for each packet: the grid of the others needs not wait for them.
        every *= 1 if wish.kind == "random" else count


def _spot(headers: Headers, name: str) -> _Spot | None:
    """The field of that name; None when these headers have no such field."""
    places = layouts(headers)
    if name.startswith("inner_"):
        return _in_layer(headers.tunnel.inner, places[1], name.removeprefix("inner_")) if headers.tunnel else None
    return _in_layer(headers, places[0], name)


def _in_layer(headers: Headers, layout: Layout, name: str) -> _Spot | None:
    ip_and_l4 = tuple(at for at in (layout.ip_checksum, layout.l4_checksum) if at is not None)
    l4_only = tuple(at for at in (layout.l4_checksum,) if at is not None)
    match name:
        case "src_port" | "dst_port":
            return _Spot(layout.l4 + (2 if name == "dst_port" else 0), 2, getattr(headers, name), 1, 65535, l4_only)
        case "src_ip" | "dst_ip":
            return _address_spot(getattr(headers, name), layout.ip, name == "dst_ip", ip_and_l4)
        case "vlan" if headers.vlans:
            return _Spot(layout.vlans[-1], 2, headers.vlans[-1], 1, 4094, ())
        case "outer_vlan" if len(headers.vlans) == 2:
            return _Spot(layout.vlans[0], 2, headers.vlans[0], 1, 4094, ())
    return None


def _address_spot(text: str, ip: int, second: bool, checksums: tuple[int, ...]) -> _Spot:
    address = ip_address(text)
    if address.version == 6:
        return _Spot(ip + (36 if second else 20), 4, int(address) & 0xFFFFFFFF, 0, 0xFFFFFFFF, checksums, address)
    most = 0xDFFFFFFF if int(address) <= 0xDFFFFFFF else 0xFFFFFFFF  # counting up must not lead from hosts into groups
    return _Spot(ip + (16 if second else 12), 4, int(address), 0, most, checksums, address)


def _room(wish: Vary, spot: _Spot | None) -> int:
    """How many values the field can take."""
    if spot is None:
        return 0
    return len(wish.values) if wish.kind == "list" else (spot.most - spot.now) // wish.step + 1


@cache
def _shares(flows: int, rooms: tuple[int, ...]) -> tuple[int, ...] | None:
    """A count for each room whose product is ``flows``, the first ones as large as can be; None when there is none."""
    if not rooms or math.prod(rooms) < flows:
        return () if not rooms and flows == 1 else None
    for count in _divisors(flows):
        rest = _shares(flows // count, rooms[1:]) if count <= rooms[0] else None
        if rest is not None:
            return (count, *rest)
    return None


def _divisors(number: int) -> list[int]:
    """All of them, the largest first."""
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    return sorted({*small, *(number // divisor for divisor in small)}, reverse=True)


def _flow_findings(flows: int, where: str) -> Iterator[Finding]:
    if not 1 <= flows <= MOST_FLOWS:
        yield error(
            "so many flows cannot be made", where=f"{where}.flows", found=f"{flows:,}", expected=f"1 to {MOST_FLOWS:,}"
        )


def _vary_findings(vary: Sequence[Vary], spots: dict[str, _Spot | None], where: str) -> Iterator[Finding]:
    names = [wish.field for wish in vary]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield error("a field cannot vary twice", where=f"{where}.vary", found=name)
    if len(vary) > MOST_FIELDS:
        found, expected = str(len(vary)), f"at most {MOST_FIELDS}"
        yield error("too many fields vary", where=f"{where}.vary", found=found, expected=expected)
    for wish in vary:
        spot = spots[wish.field]
        if spot is None:
            yield error(
                "these headers have no such field",
                where=f"{where}.vary",
                found=wish.field[:60],
                expected="src_port, dst_port, src_ip, dst_ip, vlan with a tag, outer_vlan with two, inner_… with a tunnel",
            )
        else:
            yield from _wish_findings(wish, spot, f"{where}.vary.{wish.field}")


def _wish_findings(wish: Vary, spot: _Spot, where: str) -> Iterator[Finding]:
    if wish.kind not in ("increment", "random", "list"):
        yield error(
            "a field cannot vary like this", where=where, found=wish.kind[:60], expected="increment, random or list"
        )
    if wish.step < 1:
        yield error("a field cannot vary by this step", where=where, found=str(wish.step), expected="1 or more")
    if wish.kind == "list" and not wish.values:
        yield error("there is nothing in the list", where=where, expected="values")
    if wish.kind != "list" and wish.values:
        yield error("values belong to a list", where=where, found=wish.kind, expected='kind "list"')
    for value in wish.values:
        if spot.number(value) is None:
            expected = f"{spot.least} to {spot.most}"
            if spot.address:
                expected += f", or as text an address like {spot.address}" + ", same first 12 bytes" * (
                    spot.address.version == 6
                )
            yield error("the value does not fit into the field", where=where, found=str(value)[:60], expected=expected)


def _no_grid(flows: int, vary: Sequence[Vary], spots: dict[str, _Spot | None], where: str) -> Finding:
    rooms = tuple(_room(wish, spots[wish.field]) for wish in vary)
    nearest = next(fewer for fewer in range(min(flows, math.prod(rooms)), 0, -1) if _shares(fewer, rooms) is not None)
    room = ", ".join(f"{wish.field} {room:,}" for wish, room in zip(vary, rooms, strict=True)) or "none"
    return error(
        "the fields that vary cannot make exactly so many flows",
        where=f"{where}.flows",
        found=f"{flows:,} of fields with so many values: {room}",
        expected=f"a product of them, such as {nearest:,}",
        remedy="vary one more field, or an address, which has room for every number",
    )
