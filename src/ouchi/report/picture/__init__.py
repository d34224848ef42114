"""The picture of a host: its cores by socket, NUMA node and L3 cache, who has each of them, and its NICs.

One layout in two forms, SVG and the terminal. Without a plan both show the facts alone.
"""

from __future__ import annotations

from ouchi.facts import Facts
from ouchi.plan.values import Plan
from ouchi.report.page import page
from ouchi.report.picture.svg import document
from ouchi.report.picture.terminal import Drawing

__all__ = ["Drawing", "picture_text", "svg"]


def svg(facts: Facts, plan: Plan | None) -> str:
    """The picture as an SVG document, self-contained: no script, no font or file from elsewhere."""
    return document(facts, plan)


def picture_text(facts: Facts, plan: Plan | None, width: int | None = None, *, colour: bool | None = None) -> str:
    """The picture in characters; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    return page(Drawing(facts, plan), width=width, colour=colour)
