"""HTML and SVG by element: text is escaped, so nothing from a file is ever markup."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML already, made only by :func:`tag`, :func:`join` and from the page's own files."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """An element. Children that are no :class:`Markup` are escaped, as is every value.

    Attributes: ``class_`` is ``class``, other underscores are hyphens (``stroke_width``); None leaves one out;
    numbers are written with at most two decimals.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"')
    return Markup(f"<{' '.join(parts)}>{join(*children)}</{name}>")


def empty(name: str, /, **attributes: str | float | None) -> Markup:
    """An element of HTML that has no end: ``meta``, ``link``."""
    return Markup(tag(name, **attributes).removesuffix(f"</{name}>"))


def join(*parts: str) -> Markup:
    """The parts concatenated."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
