"""A chart as SVG in the page: axes, marks with what they say when pointed at, and lines; colours are the page's.

A figure is a chart with its heading, caption and legend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ouchi.report.run.html import Markup, join, tag
from ouchi.report.run.scales import Scale

WIDTH, HEIGHT = 560, 320
TOP, RIGHT, BOTTOM = 30, 18, 46
LETTER = 6.6
"""px: approximate width of a digit in tick labels."""
COLOURS = 8
"""Number of series colours: CSS classes ``c0`` to ``c7``."""


@dataclass
class Chart:
    """A chart; coordinates are values on its scales. ``look``: one or more CSS classes.

    Colours are classes ``c0`` to ``c7``; marks are what a reader can point at.
    """

    title: str
    x: Scale
    y: Scale
    x_title: str
    y_title: str
    height: int = HEIGHT
    _back: list[Markup] = field(default_factory=list)
    _front: list[Markup] = field(default_factory=list)

    @property
    def left(self) -> float:
        """px: width of the y axis labels."""
        return 16 + LETTER * max((len(text) for _, text in self.y.ticks), default=0)

    def across(self, value: float) -> float:
        """px of a value on the x axis."""
        return self.left + (WIDTH - RIGHT - self.left) * self.x.position(value)

    def up(self, value: float) -> float:
        """px of a value on the y axis."""
        return self.height - BOTTOM - (self.height - BOTTOM - TOP) * self.y.position(value)

    def dot(self, x: float, y: float, tooltip: str, look: str, radius: float = 4) -> None:
        """A disc."""
        title = tag("title", tooltip)
        self._front.append(tag("circle", title, class_=f"mark dot {look}", cx=self.across(x), cy=self.up(y), r=radius))

    def cross(self, x: float, y: float, tooltip: str, look: str) -> None:
        """A cross, for trials that do not count in full."""
        at_x, at_y = self.across(x), self.up(y)
        path = f"M{at_x - 4:.1f} {at_y - 4:.1f}l8 8m0-8l-8 8"
        self._front.append(tag("path", tag("title", tooltip), class_=f"mark cross {look}", d=path))

    def bar(self, left: float, right: float, y: float, tooltip: str, look: str) -> None:
        """A bar from the x axis to ``y``, at least one line wide."""
        begin, top = self.across(left), self.up(y)
        width, height = max(2.0, self.across(right) - begin - 1), max(1.0, self.height - BOTTOM - top)
        title = tag("title", tooltip)
        self._front.append(
            tag("rect", title, class_=f"mark bar {look}", x=begin, y=top, width=width, height=height, rx=1.5)
        )

    def line(self, points: Sequence[tuple[float, float]], look: str) -> None:
        """A line through points in order."""
        path = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in points)
        self._back.append(tag("polyline", class_=f"line {look}", points=path))

    def column(self, x: float, y: float, half: float, look: str) -> None:
        """A column from the x axis to ``y``, ``half`` px to each side, without a tooltip."""
        top = self.up(y)
        position = {"x": self.across(x) - half, "y": top, "width": 2 * half, "height": self.height - BOTTOM - top}
        self._back.append(tag("rect", class_=f"column {look}", rx=2, **position))

    def band(self, left: float, right: float, look: str) -> None:
        """A band over the whole height between two x values."""
        begin = self.across(left)
        width = max(1.0, self.across(right) - begin)
        area = {"x": begin, "y": TOP, "width": width, "height": self.height - BOTTOM - TOP}
        self._back.insert(0, tag("rect", class_=f"band {look}", **area))

    def upright(self, x: float, text: str, look: str, row: int = 0) -> None:
        """A vertical line with a label, ``row`` lines from the top."""
        at = self.across(x)
        self._back.append(tag("line", class_=f"rule {look}", x1=at, x2=at, y1=TOP, y2=self.height - BOTTOM))
        near_end = at + 8 + LETTER * len(text) > WIDTH - RIGHT
        position = {"x": at - 6 if near_end else at + 6, "y": TOP + 12 + 15 * row}
        self._front.append(
            tag("text", text, class_=f"note {look}", text_anchor="end" if near_end else None, **position)
        )

    def level(self, y: float, text: str, look: str) -> None:
        """A horizontal line with a label above its end."""
        at = self.up(y)
        self._back.append(tag("line", class_=f"rule {look}", x1=self.left, x2=WIDTH - RIGHT, y1=at, y2=at))
        self._front.append(tag("text", text, class_=f"note {look}", x=WIDTH - RIGHT, y=at - 5, text_anchor="end"))

    def short_level(self, x: float, y: float, look: str, half: float = 14) -> None:
        """A short horizontal stroke, ``half`` px to each side."""
        at_x, at_y = self.across(x), self.up(y)
        self._front.append(tag("line", class_=f"stroke {look}", x1=at_x - half, x2=at_x + half, y1=at_y, y2=at_y))

    def write(self, x: float, y: float, text: str, look: str, lift: float = 9) -> None:
        """A label ``lift`` px above a point."""
        position = {"x": self.across(x), "y": self.up(y) - lift}
        self._front.append(tag("text", text, class_=f"note {look}", text_anchor="middle", **position))

    def svg(self) -> Markup:
        """The chart as SVG."""
        return tag(
            "svg",
            self._axes(),
            join(*self._back),
            join(*self._front),
            viewBox=f"0 0 {WIDTH} {self.height}",
            role="img",
            aria_label=self.title,
        )

    def _axes(self) -> Markup:
        floor = self.height - BOTTOM
        parts = []
        for value, text in self.y.ticks:
            at = self.up(value)
            parts.append(tag("line", class_="grid", x1=self.left, x2=WIDTH - RIGHT, y1=at, y2=at))
            parts.append(tag("text", text, class_="tick", x=self.left - 7, y=at + 4, text_anchor="end"))
        for value, text in self.x.ticks:
            at = self.across(value)
            parts.append(tag("line", class_="grid", x1=at, x2=at, y1=TOP, y2=floor))
            parts.append(tag("text", text, class_="tick", x=at, y=floor + 17, text_anchor="middle"))
        parts.append(tag("line", class_="axis", x1=self.left, x2=WIDTH - RIGHT, y1=floor, y2=floor))
        parts.append(tag("text", self.y_title, class_="axis-title", x=2, y=16))
        parts.append(
            tag("text", self.x_title, class_="axis-title", x=WIDTH - RIGHT, y=self.height - 8, text_anchor="end")
        )
        return join(*parts)


@dataclass(frozen=True, slots=True)
class Figure:
    """``legend``: (CSS class, text)."""

    caption: str
    chart: Chart
    legend: Sequence[tuple[str, str]] = ()

    def html(self, labels: Sequence[str]) -> Markup:
        """The figure as HTML, with ``labels``, so that they stay with it when it is copied."""
        keys = [tag("li", tag("span", class_=f"key {look}"), text) for look, text in self.legend]
        flags = (tag("p", "; ".join(labels), class_="flags"),) if labels else ()
        caption = tag("figcaption", tag("h3", self.chart.title), tag("p", self.caption), *flags)
        legend = (tag("ul", *keys, class_="legend"),) if keys else ()
        # Arrow keys move from mark to mark: see page.js.
        return tag("figure", caption, *legend, self.chart.svg(), tabindex="0")


def colour(index: int) -> str:
    """The CSS class of a series' colour."""
    return f"c{index % COLOURS}"
