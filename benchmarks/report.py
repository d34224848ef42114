"""What was measured, as Markdown for ``docs/figures.md`` and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks.cpu import use_text
from benchmarks.cycle import Record
from benchmarks.figures import table
from benchmarks.host import Host
from benchmarks.memory import memory_table
from benchmarks.timeline import chart, critical_path, needs_of_up, path_text

TITLES = {
    "fresh": "The first `up` on a fresh machine",
    "prepared": "`up` from prepared packages",
    "resume": "`up` after `down`",
}


def markdown(host: Host, record: Record) -> str:
    """The table of figures, then where time and memory go (of the last run of each kind)."""
    parts = [f"Measured on: {host}.", f"Labels: {'; '.join([*host.labels, *record.labels]) or 'none'}."]
    parts += [table(record.samples), *record.notes]
    needs = needs_of_up()
    for name, title in TITLES.items():
        if done := record.timelines.get(name):
            path = critical_path(done, needs)
            words = [chart(done, path), "", path_text(done, path)]
            if use := record.uses.get(name):
                words.append(use_text(use))
            parts += [f"### {title}", "```\n" + "\n".join(words) + "\n```"]
    if record.memory:
        parts += ["### Memory", memory_table(record.memory)]
    return "\n\n".join(parts)


def as_json(host: Host, record: Record) -> dict[str, Any]:
    """The same with every sample."""
    return {
        "schema": 1,
        "host": host.to_json(),
        "labels": [*host.labels, *record.labels],
        "notes": record.notes,
        "samples": record.samples,
        "timelines": {name: [asdict(span) for span in done] for name, done in record.timelines.items()},
        "cpu": {name: asdict(use) for name, use in record.uses.items()},
        "memory": [asdict(row) for row in record.memory],
    }
