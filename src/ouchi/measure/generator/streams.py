"""Streams: the frames that a port sends repeatedly, and the fields that vary in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ouchi.core.errors import BadInput
from ouchi.measure.generator.flows import PORTS_THEN_ADDRESSES, Field, Vary, fields_for
from ouchi.measure.generator.frames import Headers, build_frame, header_findings, min_size, too_small
from ouchi.measure.generator.imix import genome


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
    wrong = list(header_findings(headers, f"{name}.headers"))
    valid_headers = not wrong
    sizes: tuple[int, ...] = ()
    fields: tuple[Field, ...] = ()
    try:
        sizes = genome(str(size), where=f"{name}.size")
    except BadInput as problem:
        wrong += problem.findings
    if valid_headers:
        least = min_size(headers)
        wrong += (too_small(headers, each, f"{name}.size") for each in sorted(set(sizes)) if each < least)
        try:
            fields = fields_for(headers, flows, vary, where=name)
        except BadInput as problem:
            wrong += problem.findings
    if wrong:
        raise BadInput(wrong)
    different = sorted(set(sizes))
    return Stream(
        name=name,
        frames=tuple(build_frame(headers, each) for each in different),
        order=tuple(different.index(each) for each in sizes),
        fields=fields,
        mean_size=sum(sizes) / len(sizes),
    )
