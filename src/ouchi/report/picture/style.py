"""The colours of a drawing, light and dark, and its style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FONTS = 'system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif'


@dataclass(frozen=True, slots=True)
class Paint:
    """How boxes of a class are filled and edged, and the colour of what is written on them, each as (light, dark)."""

    fill: tuple[str, str]
    edge: tuple[str, str] | None = None
    ink: tuple[str, str] = ("#1c2530", "#eef3f8")
    more: str = ""


_EDGE = ("#cfd8e1", "#36424f")
_WHITE = ("#ffffff", "#0d1319")

PAINTS: Mapping[str, Paint] = {
    "page": Paint(("#ffffff", "#0d1117")),
    "frame": Paint(("#f3f6f9", "#161d26"), ("#b9c5d1", "#43505e"), more="stroke-width:1.5"),
    "frame.offline": Paint(("none", "none"), ("#9aa7b4", "#6b7885"), more="stroke-dasharray:5 4"),
    "group": Paint(("#ffffff", "#1e2833"), _EDGE),
    "cluster": Paint(("#eef2f6", "#263240"), ("#dbe2e9", "#3a4858")),
    "core": Paint(("#dfe6ed", "#33414f"), ("#c3cedb", "#46566a")),
    "cpu": Paint(("#fbfcfd", "#4a5a6c")),
    "cpu.host": Paint(("#c3ccd6", "#566373")),
    "cpu.pmd": Paint(("#ffbe6b", "#9a5500")),
    "cpu.dedicated": Paint(("#b5d6f8", "#1c568f")),
    "cpu.shared": Paint(("#a9e0c0", "#1b6b49")),
    "cpu.idle": Paint(("#fbfcfd", "#2a3643")),
    "note": Paint(("#e4e9ee", "#2a3643")),
    "note.host": Paint(("#566474", "#b4c0cc"), ink=_WHITE),
    "note.pmd": Paint(("#a34a00", "#ffb657"), ink=_WHITE),
    "note.dedicated": Paint(("#e3effb", "#123a61"), ink=("#24496e", "#b9d8f7")),
    "note.shared": Paint(("#15693f", "#7fd3a6"), ink=_WHITE),
    "note.guest0": Paint(("#1857a4", "#7db8f5"), ink=_WHITE),
    "note.guest1": Paint(("#6a3fb5", "#c3a6f7"), ink=_WHITE),
    "note.guest2": Paint(("#0a6f7d", "#66cbd8"), ink=_WHITE),
    "note.guest3": Paint(("#a12d7f", "#f3a0d6"), ink=_WHITE),
    "note.guest4": Paint(("#33418f", "#a7b4f5"), ink=_WHITE),
    "note.guest5": Paint(("#5c5a12", "#d0cb6a"), ink=_WHITE),
    "nic": Paint(("#ffffff", "#1e2833"), ("#9fadbb", "#5a6979"), more="stroke-width:1.5"),
    "nic.ovs-dpdk": Paint(("#fff6ea", "#33240f"), ("#d9780a", "#e0913a"), more="stroke-width:1.5"),
    "nic.sriov": Paint(("#f6f0ff", "#271d3a"), ("#7d52c4", "#a786e0"), more="stroke-width:1.5"),
    "chip": Paint(("#a34a00", "#ffb657"), ink=_WHITE),
    "chip.far": Paint(("#ffffff", "#0d1117"), ("#a34a00", "#ffb657"), more="stroke-dasharray:3 2"),
    "chip.more": Paint(("#e4e9ee", "#2a3643")),
}
"""By class; the more particular ones come after those that they change."""

MUTED = ("#51606f", "#a5b2bf")
FENCE = ("#111820", "#ffffff")
BUS = ("#8493a2", "#71808f")
QUEUE = ("#d9780a", "#f0a04b")


def stylesheet(sizes: Mapping[str, int], bold: frozenset[str]) -> str:
    """The style sheet: text of these sizes, light, and dark where the reader prefers it."""
    text = "".join(
        f".ouchi .t-{style}{{font-size:{size}px{';font-weight:700' if style in bold else ''}}}"
        for style, size in sizes.items()
    )
    fixed = (
        f".ouchi text{{font-family:{FONTS};dominant-baseline:auto}}"
        ".ouchi .fence,.ouchi .line{fill:none}.ouchi .fence{stroke-width:1.5}"
        ".ouchi .line{stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}.ouchi .line.bus{stroke-width:3}"
        ".ouchi .hollow{fill:none;stroke-dasharray:3 2.5}"
    )
    return f"{fixed}{text}{_colours(0)}@media (prefers-color-scheme:dark){{{_colours(1)}}}"


def _colours(scheme: int) -> str:
    """``scheme``: 0 light, 1 dark."""
    ink = PAINTS["page"].ink[scheme]
    rules = [f".ouchi text{{fill:{ink}}}", f".ouchi .t-subtitle,.ouchi .t-small{{fill:{MUTED[scheme]}}}"]
    for name, paint in PAINTS.items():
        edge = f";stroke:{paint.edge[scheme]}" if paint.edge else ""
        more = f";{paint.more}" if paint.more and not scheme else ""
        rules.append(f".ouchi .{name}{{fill:{paint.fill[scheme]}{edge}{more}}}")
        if name.startswith(("note", "chip")):
            rules.append(f".ouchi .{name}+text{{fill:{paint.ink[scheme]}}}")
    rules += [
        f".ouchi .fence{{stroke:{FENCE[scheme]}}}",
        f".ouchi .hollow{{stroke:{MUTED[scheme]}}}",
        f".ouchi .hollow+text{{fill:{MUTED[scheme]}}}",
        f".ouchi .line.bus{{stroke:{BUS[scheme]}}}",
        f".ouchi .line.queue{{stroke:{QUEUE[scheme]}}}",
    ]
    return "".join(rules)
