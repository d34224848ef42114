"""The tables of a run as rows of text, for all outputs; and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from ouchi.measure.generator.rates import l1_bits
from ouchi.measure.runs.model import Run, Summary
from ouchi.measure.search.goals import Goal
from ouchi.report.run.latency import NAMES, LatencyRow, latency_rows
from ouchi.report.run.trials import bounds_of, directions, goals_of, mean_size
from ouchi.report.run.units import bits_text, count_text, range_text, rate_text, share_text, time_text


@dataclass(frozen=True, slots=True)
class Table:
    """``text_columns`` are aligned to the left, the others, with figures, to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: frozenset[int]


def summary_table(run: Run) -> Table:
    """The rates found: frame size, goal, median, range, repeats and noise."""
    columns = ("frames", "goal", "may lose", "median", "on the wire", "low–high", "n", "noise")
    goals = {goal.name: goal for goal in goals_of(run)}
    rows = tuple(_row(run, row, goals.get(row.goal)) for row in run.summary)
    return Table(columns, rows, frozenset({0, 1, 2}))


def latency_table(run: Run, *sizes: str) -> Table:
    """Latency percentiles at fractions of the rates found, by direction; all sizes when none is given."""
    rows = [_latency(each) for size in sizes or run.sizes for each in latency_rows(run, size)]
    return Table(("frames", "at", "offered", "stream", *NAMES), tuple(rows), frozenset({0, 1, 3}))


def extras_table(run: Run) -> Table:
    """Results besides the searches: the generator alone, the maximum offered load, further tests, the kernel."""
    rows = tuple((row.size or "–", row.name, rate_text(row.pps), row.text) for row in run.extras)
    return Table(("frames", "further results", "rate", "result"), rows, frozenset({0, 1, 3}))


def headline(run: Run) -> str:
    """What was measured and when, and what the rates are."""
    both = directions(run)
    summed = f"; rates are the sum of {both} directions" if both > 1 else "; one direction"
    return f"{run.info.name}: {run.info.path}, {run.info.started[:10]}{summed}; sizes in bytes with FCS"


def tables_of(run: Run) -> list[Table]:
    """All tables that have rows."""
    return [table for table in (summary_table(run), latency_table(run), extras_table(run)) if table.rows]


def markdown(run: Run) -> str:
    """The tables as Markdown, with the labels that qualify the figures."""
    blocks = [_escaped(headline(run))]
    if run.info.labels:
        blocks.append("**" + _escaped("; ".join(run.info.labels)) + "**")
    blocks += [_escaped(f"{note.severity}: {note.claim} ({note.found})") for note in run.warnings]
    blocks += ["\n".join(_lines(table)) for table in tables_of(run)]
    return "\n\n".join(blocks)


def _row(run: Run, row: Summary, goal: Goal | None) -> tuple[str, ...]:
    # The threshold as well: definitions of NDR differ.
    may_lose = f"{share_text(goal.loss_ratio)} in {goal.final_seconds:g} s" if goal else "–"
    size = mean_size(run, row.size)
    wire = bits_text(l1_bits(row.median_pps, size)) if size and row.median_pps else "–"
    found = [bounds.lower_pps for bounds in bounds_of(run, row.size, row.goal)]
    repeats = f"{row.n} of {len(found)}" if len(found) > row.n else str(row.n)
    noise = "–" if row.noise is None else share_text(row.noise)
    reach = range_text(row.low_pps, row.high_pps, row.median_pps)
    return row.size, row.goal, may_lose, rate_text(row.median_pps), wire, reach, repeats, noise


def _latency(at: LatencyRow) -> tuple[str, ...]:
    times = tuple(map(time_text, at.percentiles))
    return at.size, f"{share_text(at.fraction)} of {at.goal}", rate_text(at.pps), at.stream, *times


def _lines(table: Table) -> list[str]:
    rows = [tuple(map(_escaped, row)) for row in (table.columns, *table.rows)]
    columns = range(len(table.columns))
    widths = [max(3, *(len(row[column]) for row in rows)) for column in columns]
    aligns = ["<" if column in table.text_columns else ">" for column in columns]
    forms = [f"{align}{width}" for align, width in zip(aligns, widths, strict=True)]
    ends = ["--" if align == "<" else "-:" for align in aligns]
    head, *lines = ("| " + " | ".join(map(format, row, forms)) + " |" for row in rows)
    rule = "|" + "|".join("-" * width + end for width, end in zip(widths, ends, strict=True)) + "|"
    return [head, rule, *lines]


def _escaped(text: str) -> str:
    """Text escaped for Markdown."""
    for sign in "\\`*_[]|":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("&", "&amp;").replace("<", "&lt;")


def trials_line(run: Run) -> str:
    """The number of trials, and of those that are not valid."""
    invalid = sum(not recorded.trial.valid for recorded in run.trials)
    return f"{count_text(len(run.trials), 'trial')}, {invalid} invalid"
