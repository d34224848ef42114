"""Streams: the frames that a port sends repeatedly, and the fields that vary in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ouchi.core.errors import BadInput, Finding
from ouchi.measure.generator.flows import PORTS_THEN_ADDRESSES, Field, Vary, fields_for
from ouchi.measure.generator.frames import Headers, build_frame, header_findings, min_size, too_small
from ouchi.measure.generator.imix import Genome, genome


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream: ``frames`` without FCS, sent in the repeated ``order`` of their indices.

    ``fields`` vary in every frame; ``mean_size`` is the mean frame in bytes with FCS.
    """

    name: str
    frames: tuple[bytes, ...]
    order: tuple[int, ...]
    fields: tuple[Field, ...]
    mean_size: float


def make_stream(
    name: str,
    headers: Headers,
    *,
    size: int | str = 64,
    flows: int = 1,
    vary: Sequence[Vary] = PORTS_THEN_ADDRESSES,
) -> Stream:
    """A stream of frames with these headers.

    ``size`` is in bytes with FCS and VLAN tags (of a tunnelled frame the whole), or names a mix
    (:func:`ouchi.measure.generator.imix.genome`). ``vary``: the fields that produce ``flows`` different
    flows, see :mod:`ouchi.measure.generator.flows`. Sizes and flows cycle independently: where the length of a mix and a number of
    values have a common divisor, each flow sees only some of the sizes; ``random`` fields avoid that.

    Raises :class:`BadInput` with all errors.
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
    """The sizes, and a finding for each that is too small for valid headers."""
    where = f"{name}.size"
    try:
        sizes = genome(str(size), where=where)
    except BadInput as problem:
        return Genome("", ()), problem.findings
    if headers is None:
        return sizes, ()
    least = min_size(headers)
    return sizes, tuple(too_small(headers, each, where) for each in sorted(set(sizes.sizes)) if each < least)


def _fields(
    name: str, headers: Headers, flows: int, vary: Sequence[Vary]
) -> tuple[tuple[Field, ...], tuple[Finding, ...]]:
    try:
        return fields_for(headers, flows, vary, where=name), ()
    except BadInput as problem:
        return (), problem.findings
