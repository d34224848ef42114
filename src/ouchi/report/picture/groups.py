"""L3 groups in a picture: cores in rows, kind by kind, in boxes that stand in a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ouchi.report.picture.content import Group
from ouchi.report.picture.cores import cluster_block
from ouchi.report.picture.cpus import Note
from ouchi.report.picture.shapes import Block, Box, Measures, flowed, gridded, rows_of, stacked

MOST_TRIED = 48  # lengths of a row that are tried
RAGGED = 4  # the score of an arrangement that leaves as many positions empty as it fills


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A group with its clusters drawn, not yet arranged: by section, a label and the clusters."""

    label: str
    sections: tuple[tuple[str, tuple[Block, ...]], ...]

    def size(self, row: int, m: Measures) -> tuple[int, int, float]:
        """Width and height of its cores in rows of this length, as :meth:`block` will have them without the box.

        The third number is the share of positions that the rows leave empty.
        """
        width, height, positions = m.width_of(self.label, "label"), 0, 0
        for label, clusters in self.sections:
            rows = rows_of(clusters, [cluster.width for cluster in clusters], m.core_gap[0], row)
            lengths = (sum(block.width + m.core_gap[0] for block in blocks) - m.core_gap[0] for blocks in rows)
            width = max(width, *lengths)
            height += sum(max(block.height for block in blocks) + m.core_gap[1] for blocks in rows)
            height += m.line + m.core_gap[1] if label else 0
            positions += len(rows) * max(map(len, rows))
        return width, height - m.core_gap[1], positions / sum(len(clusters) for _, clusters in self.sections) - 1

    def block(self, row: int, m: Measures) -> Block:
        """The group in rows of this length, in its box."""
        lines = []
        for label, clusters in self.sections:
            lines += [m.text_line(label, "small", row)] if label else []
            lines.append(flowed(clusters, m.core_gap, row))
        return boxed("group", "", self.label, stacked(lines, m.core_gap[1]), m)


def groups_block(groups: Sequence[Group], m: Measures, short: frozenset[Note], limit: int) -> Block:
    """The groups of a node: of all row lengths and columns the arrangement with the best score."""
    if not groups:
        return Block(0, 0, ())
    room = limit - 2 * m.pad[0]
    inside = room - 2 * m.cluster_pad[0]
    drawn = [
        _Drawn(
            m.fit(group.label, "label", room),
            tuple(
                (section.label, tuple(cluster_block(cores, m, short, inside) for cores in section.clusters))
                for section in group.sections
            ),
        )
        for group in groups
    ]
    row, columns = _best(drawn, m, limit)
    return gridded([group.block(row, m) for group in drawn], m.gap, columns, level=True)


def _best(drawn: Sequence[_Drawn], m: Measures, limit: int) -> tuple[int, int]:
    """The row length and the number of columns with the best score."""
    found = []
    for row in _lengths(drawn, m, limit - 2 * m.pad[0]):
        sizes = [group.size(row, m) for group in drawn]
        width = max(size[0] for size in sizes) + 2 * m.pad[0] + m.gap[0]
        height = max(size[1] for size in sizes) + m.label + 2 * m.pad[1] + m.gap[1]
        ragged = RAGGED * max(size[2] for size in sizes)
        most = max(1, min(len(drawn), (limit + m.gap[0]) // width))
        for columns in range(1, most + 1):
            lines = -(-len(drawn) // columns)
            empty = columns * lines / len(drawn) - 1
            found.append((m.score(columns * width, lines * height) + ragged + empty, row, columns))
    return min(found)[1:]


def _lengths(drawn: Sequence[_Drawn], measures: Measures, room: int) -> list[int]:
    """The lengths of a row worth trying: so many clusters, whatever their number."""
    found = set()
    for group in drawn:
        for _, clusters in group.sections:
            ends = accumulate(cluster.width + measures.core_gap[0] for cluster in clusters)
            found |= {end - measures.core_gap[0] for end in ends}
    fitting = sorted(length for length in found if length <= room) or [min(found)]
    return fitting[:: -(-len(fitting) // MOST_TRIED)]


def boxed(kind: str, look: str, label: str, body: Block, m: Measures, below: int = 0) -> Block:
    """A body in a box with a label at its top, and some room below."""
    x, y = m.pad
    width = max(body.width, m.width_of(label, "label"))
    height = m.label + body.height + below + 2 * y
    box = Box(kind, 0, 0, width + 2 * x, height, look=look)
    words = m.text_line(label, "label", width)
    inside = [(x, m.label_top, words)] if words.width else []
    return Block(box.width, height, (box,), (*inside, (x, y + m.label, body)))
