"""INI text as oslo.config, libvirt and MariaDB read it."""

from __future__ import annotations

from collections.abc import Mapping

Sections = Mapping[str, Mapping[str, object]]


def merge(*parts: Sections) -> dict[str, dict[str, object]]:
    """Sections laid over each other, later keys first."""
    merged: dict[str, dict[str, object]] = {}
    for part in parts:
        for section, keys in part.items():
            merged.setdefault(section, {}).update(keys)
    return merged


def ini_text(sections: Sections) -> str:
    """The file. A list becomes one line per element, as oslo.config's MultiStrOpt reads it; booleans are lower case.

    Raises :class:`ValueError` for a value with a line break, which would end the key.
    """
    lines: list[str] = ["# Written by ouchi; changes made here are lost."]
    for section, keys in sections.items():
        lines += ["", f"[{section}]"]
        for key, value in keys.items():
            for item in value if isinstance(value, list | tuple) else [value]:
                text = str(item).lower() if isinstance(item, bool) else str(item)
                if "\n" in text or "\r" in text:
                    raise ValueError(f"[{section}] {key}: a value cannot hold a line break")
                lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"
