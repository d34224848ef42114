"""A chart with its heading, what it shows in words, and its legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ouchi.report.run.chart import Chart
from ouchi.report.run.html import Markup, tag

COLOURS = 8
"""How many colours of series there are: classes ``c0`` to ``c7``."""


@dataclass(frozen=True, slots=True)
class Figure:
    """``legend`` is (look, text): a class of the style sheet and what is drawn in it."""

    caption: str
    chart: Chart
    legend: Sequence[tuple[str, str]] = ()

    def html(self, labels: Sequence[str]) -> Markup:
        """The figure as an element of the page; ``labels`` go where it goes, should it be cut out."""
        keys = [tag("li", tag("span", class_=f"key {look}"), text) for look, text in self.legend]
        flags = (tag("p", "; ".join(labels), class_="flags"),) if labels else ()
        caption = tag("figcaption", tag("h3", self.chart.title), tag("p", self.caption), *flags)
        legend = (tag("ul", *keys, class_="legend"),) if keys else ()
        # The keyboard walks from mark to mark: see page.js.
        return tag("figure", caption, *legend, self.chart.svg(), tabindex="0")


def colour(index: int) -> str:
    """The class of the series' colour."""
    return f"c{index % COLOURS}"
