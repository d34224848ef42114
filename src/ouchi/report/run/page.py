"""A run as a self-contained HTML page: no network, no other file; without scripts only the tooltips are missing.

The charts are our own SVG: a charting library would add a megabyte to every page, would need scripts to show anything,
and would not follow dark mode or print styles. The content security policy allows only the embedded style sheet and
script, by their hashes, and no request: even text that slipped through the escaping would not be executed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from ouchi import __version__
from ouchi.facts import Facts
from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.measure.search.goals import judged_loss
from ouchi.measure.search.trial import Histogram
from ouchi.plan import Plan
from ouchi.report.picture.svg import document
from ouchi.report.run.chart import Figure
from ouchi.report.run.gaps import gaps_figure
from ouchi.report.run.html import Markup, empty, tag
from ouchi.report.run.keys import key_text
from ouchi.report.run.latency import latency_figure
from ouchi.report.run.load import load_figure
from ouchi.report.run.loss import loss_figures
from ouchi.report.run.rates import rates_figure
from ouchi.report.run.stalls import stalls_figure
from ouchi.report.run.table import Table, extras_table, headline, latency_table, markdown, summary_table, trials_line
from ouchi.report.run.trials import remarks, size_text
from ouchi.report.run.units import duration_text, rate_text, share_text, time_text
from ouchi.report.text import clean

MAX_ROWS = 5000
"""Trials in the page's table; all are in the run's folder."""
MAX_LINES = 400
"""Of a table of nested values."""

HOW_TO_READ = (
    "Frame sizes include FCS and VLAN tags. “On the wire” adds the 20 bytes of preamble and gap of each frame. Lost: "
    "sent and not received. Unsent: what the generator could not send; it is not lost. TX backpressure: the TX ring was "
    "full when a frame was due, which counts against a rate like loss. An invalid trial counts neither for nor "
    "against its rate. Noise: the range of the repeats over their median."
)


def page_html(run: Run, plan: tuple[Plan, Facts] | None = None) -> str:
    """The page, with a picture of the ``plan`` that was measured and its host."""
    style, script = (files("ouchi.report.run").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    body = tag("body", *_body(run, plan), tag("div", id="tip", hidden="", role="status"), tag("script", Markup(script)))
    return f"<!doctype html>\n{tag('html', _head(run, style, script), body, lang='en')}\n"


def _head(run: Run, style: str, script: str) -> Markup:
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return tag(
        "head",
        empty("meta", charset="utf-8"),
        empty("meta", http_equiv="Content-Security-Policy", content=policy),
        empty("meta", name="viewport", content="width=device-width, initial-scale=1"),
        empty("meta", name="generator", content=f"ouchi {__version__}"),
        empty("link", rel="icon", href="data:,"),
        tag("title", f"{run.info.name} – {run.info.path}"),
        tag("style", Markup(style)),
    )


def _body(run: Run, plan: tuple[Plan, Facts] | None) -> Iterator[Markup]:
    yield _header(run)
    yield _summary(run)
    for size in run.sizes:
        yield _size(run, size)
    if run.extras:
        yield tag("section", tag("h2", "Further results"), _table(extras_table(run)))
    if plan:
        yield _plan(*plan)
    yield _environment(run)
    yield _trials(run)
    yield tag("footer", tag("p", HOW_TO_READ), tag("p", f"Made by ouchi {__version__}."))


def _header(run: Run) -> Markup:
    info = run.info
    labels = [tag("li", label) for label in info.labels]
    notes = [tag("p", f"{note.claim}: {note.found}", class_="found") for note in run.warnings]
    return tag(
        "header",
        tag("h1", info.name),
        tag("p", f"{headline(run).removeprefix(info.name + ': ')}. {trials_line(run)}{_took(run)}.", class_="sub"),
        *_headline_figure(run),
        *([tag("ul", *labels, class_="labels")] if labels else []),
        *notes,
    )


def _headline_figure(run: Run) -> Iterator[Markup]:
    """The first rate that was found, in large type."""
    for row in run.summary:
        if row.median_pps is not None:
            of = f"{row.goal}, {size_text(row.size)}" + (f", median of {row.n} repeats" if row.n > 1 else "")
            yield tag("p", tag("strong", rate_text(row.median_pps)), of, class_="headline")
            return


def _took(run: Run) -> str:
    if not run.info.ended:
        return ""
    started, ended = map(datetime.fromisoformat, (run.info.started, run.info.ended))
    return f" in {duration_text((ended - started).total_seconds())}"


def _summary(run: Run) -> Markup:
    rates, stalls = summary_table(run), stalls_figure(run)
    no_stalls = tag("p", "The generator never stalled.", class_="quiet")
    none = tag("p", "No search was requested." if run.info.request.get("goals") == [] else "No rate was found.")
    return tag(
        "section",
        tag("h2", "Rates found"),
        _table(rates, "summary") if rates.rows else none,
        tag(
            "details",
            tag("summary", "As Markdown, to paste"),
            tag("button", "Copy", type="button", hidden="", data_copies="markdown"),
            tag("pre", markdown(run), id="markdown"),
        ),
        _figures(run, rates_figure(run), stalls),
        *([] if stalls or not run.trials else [no_stalls]),
    )


def _size(run: Run, size: str) -> Markup:
    figures = [*loss_figures(run, size), latency_figure(run, size), gaps_figure(run, size), load_figure(run, size)]
    latencies = latency_table(run, size)
    table = [tag("h3", "Latency"), _table(latencies)] if latencies.rows else []
    return tag("section", tag("h2", size_text(size).capitalize()), _figures(run, *figures), *table)


def _plan(plan: Plan, facts: Facts) -> Markup:
    """As an image: its style sheet is its own, and it has its own light and dark colours."""
    data = base64.b64encode(document(facts, plan).encode()).decode()
    text = f"CPUs of each pool, guests and NICs of {clean(facts.system.hostname)}"
    picture = empty("img", src=f"data:image/svg+xml;base64,{data}", alt=text, class_="plan")
    return tag("section", tag("h2", "The plan"), tag("div", picture, class_="wide"))


def _environment(run: Run) -> Markup:
    info = run.info
    groups = (
        ("Request", info.request),
        ("Host", info.host),
        ("Versions", info.versions),
        ("Settings", info.settings),
    )
    sections = [tag("div", tag("h3", name), _facts(values)) for name, values in groups if values]
    return tag("section", tag("h2", "Test environment"), tag("div", *sections, class_="figures"))


def _trials(run: Run) -> Markup:
    names = ("frames", "repeat", "trial", "offered", "seconds", "sent", "lost", "TX backpressure", "loss", "unsent")
    head = [
        tag("th", name, class_="word" if not column else None)
        for column, name in enumerate((*names, "50 %", "99 %", "max"))
    ]
    table = tag(
        "table",
        tag("thead", tag("tr", *head, tag("th", "remarks", class_="long"))),
        tag("tbody", *map(_trial, run.trials[:MAX_ROWS])),
    )
    left = len(run.trials) - MAX_ROWS
    rest = [tag("p", f"{left:,} more are in the run's folder.")] if left > 0 else []
    return tag(
        "section",
        tag("h2", "Every trial"),
        tag("details", tag("summary", trials_line(run)), tag("div", table, class_="wide"), *rest, id="trials"),
    )


def _trial(recorded: TrialRecord) -> Markup:
    trial = recorded.trial
    latency = Histogram.merged(stream.latency for stream in trial.streams)
    figures = [str(recorded.repeat), str(trial.number), rate_text(trial.intended_pps), f"{trial.seconds:.4g}"]
    figures += [f"{trial.sent:,}", f"{trial.lost:,}", f"{trial.tx_backpressure:,}", share_text(judged_loss(trial))]
    figures += [f"{trial.unsent:,}", *(time_text(latency.percentile(percent)) for percent in (50, 99))]
    figures += [time_text(latency.maximum)]
    remark = "; ".join(filter(None, [trial.label, *remarks(trial)]))
    cells = [tag("td", recorded.size, class_="word"), *(tag("td", text) for text in figures)]
    return tag("tr", *cells, tag("td", remark, class_="long"), class_=None if trial.valid else "bad-trial")


def _table(table: Table, look: str = "") -> Markup:
    looks = ["word" if column in table.text_columns else None for column in range(len(table.columns))]
    head = [tag("th", name, class_=look) for name, look in zip(table.columns, looks, strict=True)]
    rows = [
        tag("tr", *(tag("td", text, class_=look_of_cell) for text, look_of_cell in zip(row, looks, strict=True)))
        for row in table.rows
    ]
    made = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_=look or None)
    return tag("div", made, class_="wide")


def _facts(values: Mapping[str, Any]) -> Markup:
    rows = [tag("tr", tag("td", key), tag("td", text)) for key, text in _flattened(values)]
    return tag("table", tag("tbody", *rows), class_="facts")


def _flattened(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(``key.key``, text) for each value; lists of plain values in one row. At most :data:`MAX_LINES`."""
    lines = list(_rows_of("", values))
    left = len(lines) - MAX_LINES
    return lines if left <= 0 else [*lines[:MAX_LINES], ("…", f"{left:,} more")]


def _rows_of(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _rows_of(f"{key}.{key_text(name)}" if key else key_text(name), item)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for index, item in enumerate(value, 1):
            yield from _rows_of(f"{key}.{index}", item)
    else:
        yield key, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "–"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"


def _figures(run: Run, *figures: Figure | None) -> Markup:
    return tag("div", *(figure.html(run.info.labels) for figure in figures if figure), class_="figures")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
