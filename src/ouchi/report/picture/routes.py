"""The lines from a NIC's queues to the cores that poll them, through the gaps between the cores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ouchi.report.picture.shapes import Box, Line, Measures

STEPS = 4  # lines next to each other in the lane
MOST_LINES = 16  # more would be a tangle; the numbers on the chips remain


def queue_lines(boxes: Sequence[Box], measures: Measures) -> tuple[Line, ...]:
    """A line for each queue next to the node whose core polls it; none when the measures have no lane for them.

    Up from the NIC, along the lane at the bottom of the node, up the nearest gap that is clear of cores, clusters and
    text, and in below the core.
    """
    chips = [box for box in boxes if box.kind == "chip" and box.cpu >= 0]
    if not measures.lane or len(chips) > MOST_LINES:
        return ()
    kinds: dict[str, list[Box]] = {
        "frame": [],
        "group": [],
        "cluster": [],
        "core": [],
        "cpu": [],
        "nic": [],
        "text": [],
    }
    for box in boxes:
        if box.kind in kinds:
            kinds[box.kind].append(box)
    cells = {box.cpu: box for box in kinds["cpu"]}
    found: list[Line] = []
    taken: set[int] = set()
    for chip in chips:
        cell = cells.get(chip.cpu)
        frame = _above(chip, kinds["frame"], measures)
        nic = _around(chip, kinds["nic"])
        if cell and frame and nic and frame.holds(cell) and chip.y <= nic.y + measures.chip_top:
            core, group = _around(cell, kinds["core"]), _around(cell, kinds["group"])
            if core and group:
                lane = frame.bottom - measures.lane + len(found) % STEPS * (measures.lane // STEPS)
                others = (box for box in (*kinds["core"], *kinds["cluster"], *kinds["text"]) if frame.holds(box))
                obstacles = [box for box in others if not box.holds(core)]
                route = _route(chip, cell, core, group, lane, obstacles, measures.core_gap[1], taken)
                taken.add(route[2][0])
                found.append(Line(route, "queue"))
    return tuple(found)


def _route(
    chip: Box,
    cell: Box,
    core: Box,
    group: Box,
    lane: int,
    obstacles: Sequence[Box],
    gap: int,
    taken: Collection[int],
) -> tuple[tuple[int, int], ...]:
    """The points of a line; its third is where it goes up, if it can not where another, of those ``taken``, does."""
    start, end = chip.x + chip.width // 2, cell.x + cell.width // 2
    below = core.bottom + gap // 2
    edges = {edge for other in obstacles for edge in (other.x - gap + gap // 2, other.right + gap // 2)}
    beside = {x + aside for x in edges if group.x <= x <= group.right for aside in (-2, 0, 2)}
    ways = sorted({end, *beside, group.x - gap, group.right + gap}, key=lambda x: (x in taken) * 40 + abs(x - end))
    clear = (x for x in ways if not any(_across(x, below, lane, other) for other in obstacles))
    x = next(clear, group.x - gap)  # beside the group there is nothing but other groups' gaps
    turns = ((x, lane), (x, below), (end, below)) if x != end else ((end, lane),)
    return ((start, chip.y), (start, lane), *turns, (end, core.bottom))


def _across(x: int, top: int, bottom: int, other: Box) -> bool:
    """True when a line down at ``x`` would touch it."""
    return other.x - 1 <= x <= other.right + 1 and other.y < bottom and other.bottom > top


def _above(chip: Box, frames: Iterable[Box], measures: Measures) -> Box | None:
    """The frame above the chip's NIC, when nothing is between them."""
    near = (
        frame
        for frame in frames
        if 0 <= chip.y - frame.bottom <= measures.bus + measures.chip_top and frame.x <= chip.x <= frame.right
    )
    return max(near, key=lambda frame: frame.bottom, default=None)


def _around(inner: Box, outers: Iterable[Box]) -> Box | None:
    return next((outer for outer in outers if outer.holds(inner)), None)
