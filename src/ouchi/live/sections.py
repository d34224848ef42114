"""The output of the scripts, split into sections and values. Any text is accepted; unknown lines are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping

MARK = "@@ "
_NUMBERS = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by its name; of two with one name the first."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith(MARK):
            lines = []
            found.setdefault(line.removeprefix(MARK).strip(), lines)
        else:
            lines.append(line)
    return {name: "\n".join(body).strip("\n") for name, body in found.items()}


def linked(text: str) -> dict[str, str]:
    """Return the last component of each link's target by its path, from ``PATH TARGET`` lines of find."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        path, space, target = line.partition(" ")
        if space:
            found[path] = target.strip().rpartition("/")[2]
    return found


def numbers(text: str) -> tuple[int, ...]:
    """Return the first version in a text: ``DPDK 22.11.11`` → (22, 11, 11); empty without one."""
    match = _NUMBERS.search(text)
    return tuple(int(number) for number in match.groups() if number is not None) if match else ()


def by_cpu(found: Mapping[str, str], end: str) -> dict[int, str]:
    """Return the values of ``…cpuN/END`` by N."""
    pattern = re.compile(rf"(?:.*/)?cpu([0-9]{{1,4}})/{re.escape(end)}")
    return {int(match[1]): value for path, value in found.items() if (match := pattern.fullmatch(path))}
