"""A chart with its heading, caption and legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ouchi.report.run.chart import Chart
from ouchi.report.run.html import Markup, tag

COLOURS = 8
"""Number of series colours: CSS classes ``c0`` to ``c7``."""


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
