"""Flows: the header fields that vary from packet to packet, so that a switch sees 1 to 10 million flows.

Several fields form a grid: the first varies with every packet, the next whenever the first has cycled, and so on. Each
takes as many values as it can, so by default about 64,000 source ports are used before a second source address. The
product is exactly the requested number of flows.
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

MAX_FLOWS = 10_000_000
MAX_FIELDS = 8
"""The most that the generator varies in one stream."""

VaryKind = Literal["increment", "random", "list"]


@dataclass(frozen=True, slots=True)
class Vary:
    """A header field that varies.

    ``field``: ``src_port``, ``dst_port``, ``src_ip``, ``dst_ip`` (of IPv6 the last four bytes), ``vlan`` (the
    innermost tag) or ``outer_vlan`` (the outermost of two); with ``inner_`` before it, that of a tunnel's inner frame.
    ``increment`` counts up by ``step`` from the value in the headers, and starts over; ``random`` draws one of the same
    values for each packet, so all flows are seen only after a while; ``list`` cycles through ``values`` (numbers, or
    addresses as text).
    """

    field: str
    kind: VaryKind = "increment"
    step: int = 1
    values: tuple[int | str, ...] = ()


PORTS_THEN_ADDRESSES = (Vary("src_port"), Vary("src_ip"))


@dataclass(frozen=True, slots=True)
class Field:
    """A number in the frame that the generator varies: ``width`` bytes at ``offset``, big endian.

    Of the packet number ``n`` (from 0) it is ``first + step * (n // every % count)`` for ``increment``,
    ``values[n // every % count]`` for ``list``, and ``first + step * r`` with an ``r`` below ``count`` drawn for each
    packet for ``random``. ``checksums`` are the byte offsets of the 16-bit ones' complement checksums that cover it.
    """

    offset: int
    width: int
    kind: VaryKind
    first: int
    step: int
    count: int
    values: tuple[int, ...] = ()
    every: int = 1
    checksums: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The generator's request, without members that the kind does not use."""
        common = {"offset": self.offset, "width": self.width, "kind": self.kind, "checksums": list(self.checksums)}
        if self.kind == "list":
            return common | {"values": list(self.values), "every": self.every}
        return common | {"first": self.first, "step": self.step, "count": self.count, "every": self.every}


@dataclass(frozen=True, slots=True)
class _HeaderField:
    """Offset, initial value and range of a header field; ``address``: the whole address it belongs to."""

    offset: int
    width: int
    initial: int
    minimum: int
    maximum: int
    checksums: tuple[int, ...]
    address: IPv4Address | IPv6Address | None = None

    def number(self, value: int | str) -> int | None:
        """The field's number for a value of a list; None when it is out of range."""
        if isinstance(value, str):
            address = parse_ip(value)
            if address is None or self.address is None or address.version != self.address.version:
                return None
            if int(address) >> 32 != int(self.address) >> 32:
                return None
            value = int(address) & 0xFFFFFFFF
        return value if self.minimum <= value <= self.maximum else None


def fields_for(headers: Headers, flows: int, vary: Sequence[Vary], where: str = "stream") -> tuple[Field, ...]:
    """The fields that produce ``flows`` different flows with valid headers.

    Raises :class:`BadInput` with all errors: fields that the headers do not have, values out of range, a number of
    flows that is no product of the fields' counts.
    """
    fields = {name: _header_field(headers, name) for name in {varied.field for varied in vary}}
    if findings := tuple(_findings(flows, vary, fields, where)):
        raise BadInput(findings)
    capacities = tuple(_capacity(varied, fields[varied.field]) for varied in vary)
    counts = _shares(flows, capacities)
    if counts is None:
        raise _no_grid(flows, vary, capacities, where)
    return tuple(_fields(vary, counts, fields))


def _fields(vary: Sequence[Vary], counts: tuple[int, ...], fields: dict[str, _HeaderField | None]) -> Iterator[Field]:
    every = 1
    for varied, count in zip(vary, counts, strict=True):
        field = fields[varied.field]
        assert field is not None  # noqa: S101 - checked by _findings
        position = (field.offset, field.width, varied.kind)
        if varied.kind == "list":
            values = tuple(field.number(value) or 0 for value in varied.values[:count])
            yield Field(*position, values[0], 0, count, values, every, field.checksums)
        elif count > 1:
            slow = every if varied.kind == "increment" else 1
            yield Field(*position, field.initial, varied.step, count, (), slow, field.checksums)
        # Random fields are drawn for each packet and do not delay the next field of the grid.
        every *= 1 if varied.kind == "random" else count


def _header_field(headers: Headers, name: str) -> _HeaderField | None:
    """The header field of that name; None when the headers do not have it."""
    found = layouts(headers)
    if name.startswith("inner_"):
        return _in_layer(headers.tunnel.inner, found[1], name.removeprefix("inner_")) if headers.tunnel else None
    return _in_layer(headers, found[0], name)


def _in_layer(headers: Headers, layout: Layout, name: str) -> _HeaderField | None:
    ip_and_l4 = tuple(at for at in (layout.ip_checksum, layout.l4_checksum) if at is not None)
    l4_only = tuple(at for at in (layout.l4_checksum,) if at is not None)
    match name:
        case "src_port" | "dst_port":
            return _HeaderField(
                layout.l4 + (2 if name == "dst_port" else 0), 2, getattr(headers, name), 1, 65535, l4_only
            )
        case "src_ip" | "dst_ip":
            return _address_field(getattr(headers, name), layout.ip, name == "dst_ip", ip_and_l4)
        case "vlan" if headers.vlans:
            return _HeaderField(layout.vlans[-1], 2, headers.vlans[-1], 1, 4094, ())
        case "outer_vlan" if len(headers.vlans) == 2:
            return _HeaderField(layout.vlans[0], 2, headers.vlans[0], 1, 4094, ())
    return None


def _address_field(text: str, ip: int, second: bool, checksums: tuple[int, ...]) -> _HeaderField:
    address = ip_address(text)
    if address.version == 6:
        return _HeaderField(
            ip + (36 if second else 20), 4, int(address) & 0xFFFFFFFF, 0, 0xFFFFFFFF, checksums, address
        )
    most = 0xDFFFFFFF if int(address) <= 0xDFFFFFFF else 0xFFFFFFFF  # counting up must not leave unicast addresses
    return _HeaderField(ip + (16 if second else 12), 4, int(address), 0, most, checksums, address)


def _capacity(varied: Vary, field: _HeaderField | None) -> int:
    """The number of values that the field can take."""
    if field is None:
        return 0
    return len(varied.values) if varied.kind == "list" else (field.maximum - field.initial) // varied.step + 1


@cache
def _shares(flows: int, capacities: tuple[int, ...]) -> tuple[int, ...] | None:
    """Counts within the capacities whose product is ``flows``, the first ones as large as possible; None: impossible."""
    if not capacities or math.prod(capacities) < flows:
        return () if not capacities and flows == 1 else None
    for count in _divisors(flows):
        rest = _shares(flows // count, capacities[1:]) if count <= capacities[0] else None
        if rest is not None:
            return (count, *rest)
    return None


def _divisors(number: int) -> list[int]:
    """All divisors, largest first."""
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    return sorted({*small, *(number // divisor for divisor in small)}, reverse=True)


def _findings(
    flows: int, vary: Sequence[Vary], fields: dict[str, _HeaderField | None], where: str
) -> Iterator[Finding]:
    if not 1 <= flows <= MAX_FLOWS:
        expected = f"1 to {MAX_FLOWS:,}"
        yield error(
            "the number of flows is out of range", where=f"{where}.flows", found=f"{flows:,}", expected=expected
        )
    names = [varied.field for varied in vary]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield error("a field varies twice", where=f"{where}.vary", found=name)
    if len(vary) > MAX_FIELDS:
        found, expected = str(len(vary)), f"at most {MAX_FIELDS}"
        yield error("too many fields vary", where=f"{where}.vary", found=found, expected=expected)
    for varied in vary:
        field = fields[varied.field]
        if field is None:
            yield error(
                "the headers have no such field",
                where=f"{where}.vary",
                found=varied.field[:60],
                expected="src_port, dst_port, src_ip, dst_ip, vlan with a tag, outer_vlan with two, inner_… with a tunnel",
            )
        else:
            yield from _value_findings(varied, field, f"{where}.vary.{varied.field}")


def _value_findings(varied: Vary, field: _HeaderField, where: str) -> Iterator[Finding]:
    if varied.kind not in ("increment", "random", "list"):
        yield error(
            "unknown kind of variation", where=where, found=varied.kind[:60], expected="increment, random or list"
        )
    if varied.step < 1:
        yield error("the step is out of range", where=where, found=str(varied.step), expected="1 or more")
    if varied.kind == "list" and not varied.values:
        yield error("the list has no values", where=where, expected="values")
    if varied.kind != "list" and varied.values:
        yield error("only a list has values", where=where, found=varied.kind, expected='kind "list"')
    for value in varied.values:
        if field.number(value) is None:
            expected = f"{field.minimum} to {field.maximum}"
            if field.address:
                expected += f", or as text an address like {field.address}" + ", same first 12 bytes" * (
                    field.address.version == 6
                )
            yield error("the value is out of the field's range", where=where, found=str(value)[:60], expected=expected)


def _no_grid(flows: int, vary: Sequence[Vary], capacities: tuple[int, ...], where: str) -> BadInput:
    nearest = next(
        fewer for fewer in range(min(flows, math.prod(capacities)), 0, -1) if _shares(fewer, capacities) is not None
    )
    room = ", ".join(f"{varied.field} {room:,}" for varied, room in zip(vary, capacities, strict=True)) or "none"
    return BadInput.of(
        "the fields that vary cannot produce exactly this number of flows",
        where=f"{where}.flows",
        found=f"{flows:,} of fields with these numbers of values: {room}",
        expected=f"a product of them, such as {nearest:,}",
        remedy="vary another field, or an address, which allows any number",
    )
