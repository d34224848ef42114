"""A picture as SVG: one file with nothing outside it, light or dark as the reader's screen is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

from ouchi.facts import Facts
from ouchi.plan.target import Target
from ouchi.plan.values import Plan
from ouchi.report.picture.content import content_of
from ouchi.report.picture.cpus import DrawnCpu
from ouchi.report.picture.font_metrics import width_at_most
from ouchi.report.picture.layout import lay_out
from ouchi.report.picture.shapes import Box, Line, Measures, Picture
from ouchi.report.picture.style import stylesheet
from ouchi.report.picture.topology import BOLD, SIZES, topology

LAYERS = ("frame", "group", "cluster", "core", "nic", "cpu", "note", "chip", "swatch", "text")
"""What covers what; the lines lie between ``cluster`` and ``core``."""

_RADII = {"frame": 14, "group": 10, "cluster": 9, "core": 7, "nic": 8, "cpu": 4, "note": 3, "chip": 4, "swatch": 4}
_EFFICIENT = 13  # radius of the corners of an E-core

_SIZES = {"title": 24, "subtitle": 13, "label": 12, "name": 13, "small": 11, "chip": 10}  # px
_BOLD = frozenset({"title", "label", "name", "number", "note", "chip"})


@dataclass(frozen=True, slots=True)
class _Density:
    """How large CPUs are drawn on machines of at most so many: sizes of letters, cells, notes and gaps in px."""

    most_cpus: float
    number: int
    note: int
    cell: tuple[int, int]
    strip: int
    pad: int
    gap: int

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each style of text in px."""
        return _SIZES | {"number": self.number, "note": self.note}


_DENSITIES = (
    _Density(40, number=17, note=10, cell=(52, 32), strip=16, pad=5, gap=9),
    _Density(200, number=13, note=9, cell=(36, 24), strip=14, pad=3, gap=7),
    _Density(math.inf, number=10, note=8, cell=(31, 18), strip=12, pad=2, gap=5),
)


def document(facts: Facts, plan: Plan | None) -> str:
    """The picture of a host, self-contained: no script, no font or file from elsewhere."""
    density = _density(facts)
    return _drawn(geometry(facts, plan), stylesheet(density.sizes, _BOLD))


def topology_document(target: Target) -> str:
    """The picture of a plan's networks, in the same form."""
    return _drawn(topology(target), stylesheet(SIZES, BOLD))


def geometry(facts: Facts, plan: Plan | None) -> Picture:
    """Where everything is in it, in px."""
    highest = max((cpu.id for cpu in facts.cpus), default=0)
    return lay_out(content_of(facts, plan), _measures(_density(facts), highest))


def _density(facts: Facts) -> _Density:
    return next(density for density in _DENSITIES if len(facts.cpus) <= density.most_cpus)


def _measures(density: _Density, highest: int) -> Measures:
    sizes = density.sizes

    def width_of(text: str, style: str) -> int:
        return width_at_most(text, sizes[style], bold=style in _BOLD)

    return Measures(
        width_of=width_of,
        score=_score,
        limit=100_000,
        least=640,
        page=(24, 20),
        cell=(max(density.cell[0], width_of(str(highest), "number") + 4), density.cell[1]),
        cell_gap=2,
        note=density.strip,
        core_pad=(density.pad, density.pad),
        core_gap=(density.gap, density.gap),
        cluster_pad=(4, 4),
        pad=(14, 12),
        gap=(16, 14),
        inset=0,
        title=32,
        label=18,
        label_top=8,
        line=17,
        lane=16,
        bus=22,
        nic=(14, 8),
        nic_room=(150, 230),
        chip=(5, 16),
        chip_top=0,
        swatch=(18, 8),
        entry_gap=(20, 6),
    )


def _score(width: int, height: int) -> float:
    """How far a page of these boxes, with a heading, NICs and a legend, is from a printed sheet; and how large."""
    return abs(math.log(width / (height + 340) / 1.5)) + 0.6 * math.log(width * height)


def _drawn(picture: Picture, styles: str) -> str:
    layers: dict[str, list[str]] = {layer: [] for layer in LAYERS}
    for box in picture.boxes:
        layers[box.kind].append(
            _cpu(box, box.thread) if box.thread else _written(box, box.look) if box.kind == "text" else _box(box)
        )
    layers["cluster"] += map(_line, picture.lines)
    body = "\n".join(f"<g>{''.join(layers[layer])}</g>" for layer in LAYERS if layers[layer])
    size = f'width="{picture.width}" height="{picture.height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ouchi" role="img" aria-labelledby="ouchi-title ouchi-desc" '
        f'viewBox="0 0 {picture.width} {picture.height}" {size}>\n'
        f'<title id="ouchi-title">{escape(picture.title)}</title>\n'
        f'<desc id="ouchi-desc">{escape(picture.description)}</desc>\n'
        f"<style>{styles}</style>\n"
        f'<rect class="page" {size} rx="16"/>\n{body}\n</svg>\n'
    )


def _box(box: Box) -> str:
    """A box and what is written in it. A swatch looks like what it explains."""
    kind = box.look.partition(" ")[0] if box.kind == "swatch" else box.kind
    look = box.look if box.kind == "swatch" else f"{box.kind} {box.look}".strip()
    radius = _EFFICIENT if look == "core efficient" else _RADII[kind]
    style = "note" if box.kind == "note" else "chip"
    height = box.height - 3 if box.kind == "swatch" else box.height
    if look == "cpu isolated":
        return _rect(box, "fence", 4, 1, height) + _written(box, "chip")
    if look == "cpu offline":
        return _rect(box, "hollow", 4, 0.5, height)
    letters = "" if look.startswith("core") else _written(box, style)
    rect = _rect(box, look, min(radius, height / 2), 0, height)
    return f"<g>{rect}{letters}</g>" if letters else rect


def _cpu(box: Box, thread: DrawnCpu) -> str:
    """A CPU: a field in the colours of its pools, hollow when it is offline, fenced in when it is isolated."""
    radius = _RADII["cpu"]
    if not thread.online:
        field = _rect(box, "hollow", radius, 0.5)
    else:
        idle = " idle" if thread.note and thread.note.look == "idle" else ""
        pools = thread.pools
        field = _rect(box, f"cpu {pools[0]}" if pools else f"cpu{idle}", radius)
        field += "".join(_band(box, pool, number, len(pools)) for number, pool in enumerate(pools) if number)
        field += _rect(box, "fence", radius, 1) if thread.isolated else ""
    title = f"<title>{escape(thread.label)}</title>"
    return f'<g class="thread" data-cpu="{thread.cpu}">{title}{field}{_written(box, "number")}</g>'


def _band(box: Box, pool: str, number: int, pools: int) -> str:
    """The share of the field that a further pool has, cut at a slant."""
    slant = box.width // pools // 3
    left = box.x + box.width * number / pools
    right = box.x + box.width * (number + 1) / pools
    radius = _RADII["cpu"]
    if number == pools - 1:
        edge = f"H{box.right - radius}q{radius} 0 {radius} {radius}V{box.bottom - radius}q0 {radius} {-radius} {radius}"
    else:
        edge = f"H{right + slant:g}L{right - slant:g} {box.bottom}"
    return f'<path class="cpu {pool}" d="M{left + slant:g} {box.y}{edge}H{left - slant:g}Z"/>'


def _rect(box: Box, look: str, radius: float, inset: float = 0, height: int = 0) -> str:
    high = (height or box.height) - 2 * inset
    y = box.y + inset + (box.height - (height or box.height)) / 2
    return (
        f'<rect class="{look}" x="{box.x + inset:g}" y="{y:g}" width="{box.width - 2 * inset:g}" '
        f'height="{high:g}" rx="{radius:g}"/>'
    )


def _written(box: Box, style: str) -> str:
    """The text of a box, its capitals in the middle of its height."""
    if not box.text:
        return ""
    x = {"start": box.x, "middle": box.x + box.width / 2, "end": box.right}[box.align]
    y = box.y + box.height / 2
    anchor = "" if box.align == "start" else f' text-anchor="{box.align}"'
    return f'<text class="t-{style}" x="{x:g}" y="{y:g}" dy=".36em"{anchor}>{escape(box.text)}</text>'


def _line(line: Line) -> str:
    points = " ".join(f"{x},{y}" for x, y in line.points)
    return f'<polyline class="line {line.look}" points="{points}"/>'
