"""Streams: the frames that one port sends again and again, and what changes in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ouchi.core.errors import BadInput, Finding
from ouchi.measure.generator.flows import BY_PORT_THEN_ADDRESS, Field, Vary, fields_for
from ouchi.measure.generator.frames import Headers, build_frame, header_findings, least_size, too_small
from ouchi.measure.generator.imix import Genome, genome


@dataclass(frozen=True, slots=True)
class Stream:
    """What the generator sends: ``frames`` without FCS, in the repeated ``order`` of their indices.

    ``fields`` change in every frame alike; ``mean_size`` is the mean frame in bytes with FCS.
    """

    name: str
    frames: tuple[bytes, ...]
    order: tuple[int, ...]
    fields: tuple[Field, ...]
    mean_size: float

    def to_json(self) -> dict[str, Any]:
        """All of it, the frames in hexadecimal digits."""
        return {
            "name": self.name,
            "mean_size": self.mean_size,
            "frames": [frame.hex() for frame in self.frames],
            "order": list(self.order),
            "fields": [field.to_json() for field in self.fields],
        }


def make_stream(
    name: str,
    headers: Headers,
    *,
    size: int | str = 64,
    flows: int = 1,
    vary: Sequence[Vary] = BY_PORT_THEN_ADDRESS,
) -> Stream:
    """A stream of frames with these headers.

    ``size`` is in bytes with FCS and VLAN tags (of a tunnelled frame the whole), or names a mix
    (:func:`ouchi.measure.generator.imix.genome`). ``flows`` different flows come of the fields in ``vary``, see
    :mod:`ouchi.measure.generator.flows`. Sizes and flows turn independently: where the length of a mix and a count of values
    have a common divisor, each flow sees only some of the sizes; ``random`` fields avoid that.

    Raises :class:`BadInput` with everything that is wrong.
    """
    headers_wrong = tuple(header_findings(headers, f"{name}.headers"))
    sizes, sizes_wrong = _sizes(name, None if headers_wrong else headers, size)
    fields, fields_wrong = ((), ()) if headers_wrong else _fields(name, headers, flows, vary)
    if wrong := (*headers_wrong, *sizes_wrong, *fields_wrong):
        raise BadInput(wrong)
    different = sorted(set(sizes.sizes))
    return Stream(
        name=name,
        frames=tuple(build_frame(headers, each) for each in different),
        order=tuple(different.index(each) for each in sizes.sizes),
        fields=fields,
        mean_size=sizes.mean,
    )


def _sizes(name: str, headers: Headers | None, size: int | str) -> tuple[Genome, tuple[Finding, ...]]:
    """The sizes, and those that the headers (when they are good) do not fit into."""
    where = f"{name}.size"
    try:
        sizes = genome(str(size), where=where)
    except BadInput as problem:
        return Genome("", ()), problem.findings
    if headers is None:
        return sizes, ()
    least = least_size(headers)
    return sizes, tuple(too_small(headers, each, where) for each in sorted(set(sizes.sizes)) if each < least)


def _fields(
    name: str, headers: Headers, flows: int, vary: Sequence[Vary]
) -> tuple[tuple[Field, ...], tuple[Finding, ...]]:
    try:
        return fields_for(headers, flows, vary, where=name), ()
    except BadInput as problem:
        return (), problem.findings
