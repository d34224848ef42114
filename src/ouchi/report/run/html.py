"""HTML and SVG by element: whatever is not markup yet is escaped, so nothing from a file is ever code."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML already; only :func:`tag`, :func:`join` and the page's own files make it."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """An element. Children that are no :class:`Markup` are escaped, as is every value.

    Attributes: ``class_`` is ``class``, other underscores are hyphens (``stroke_width``); None leaves one out;
    numbers are written with at most two decimals.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"')
    return Markup(f"<{' '.join(words)}>{join(*children)}</{name}>")


def empty(name: str, /, **attributes: str | float | None) -> Markup:
    """An element of HTML that has no end: ``meta``, ``link``."""
    return Markup(tag(name, **attributes).removesuffix(f"</{name}>"))


def join(*parts: str) -> Markup:
    """Parts one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
