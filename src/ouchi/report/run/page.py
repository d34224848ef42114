"""A run as one page of HTML that needs nothing else: no network, no other file, and without scripts only the tips fail.

The charts are SVG of our own: a charting library would be a megabyte and more in every page, would need its script to
show anything at all, and would not follow the reader's light or dark or the printer. The page's policy allows exactly
the one style sheet and the one script that are in it, by their hashes, and no request at all: were anything of a
run's files to slip through the escaping, no browser would run it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from ouchi import __version__
from ouchi.measure.runs.model import Recorded, Run
from ouchi.measure.search.goals import judged_loss
from ouchi.measure.search.trial import Histogram
from ouchi.report.run.figure import Figure
from ouchi.report.run.flat import flat
from ouchi.report.run.found import found_figure
from ouchi.report.run.gaps import gaps_figure
from ouchi.report.run.html import Markup, empty, tag
from ouchi.report.run.latency import latency_figure
from ouchi.report.run.load import load_figure
from ouchi.report.run.loss import loss_figures
from ouchi.report.run.stalls import stalls_figure
from ouchi.report.run.table import Table, beside_table, headline, latency_table, markdown, summary_table, trials_line
from ouchi.report.run.told import remarks, size_words
from ouchi.report.run.words import duration_text, rate_text, share_text, time_text

MOST_ROWS = 5000
"""Trials in the page's table; all of them are in the run's folder."""

HOW_TO_READ = (
    "Frame sizes include FCS and VLAN tags. “On the wire” adds the 20 bytes of preamble and gap of each frame. Lost is "
    "what was sent and not received; what the generator could not send is unsent, and no loss. Refused is what found the "
    "port's ring full when it was due: it counts against a rate as loss does. A trial that breaks a "
    "rule of validity proves nothing and counts for no rate. Noise is the range of the repeats over their median."
)


def page_html(run: Run) -> str:
    """The page."""
    style, script = (files("ouchi.report.run").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    body = tag("body", *_body(run), tag("div", id="tip", hidden="", role="status"), tag("script", Markup(script)))
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
        tag("title", f"{run.about.name} – {run.about.path}"),
        tag("style", Markup(style)),
    )


def _body(run: Run) -> Iterator[Markup]:
    yield _header(run)
    yield _summary(run)
    for size in run.sizes:
        yield _size(run, size)
    if run.beside:
        yield tag("section", tag("h2", "Beside the searches"), _table(beside_table(run)))
    yield _made_on(run)
    yield _trials(run)
    yield tag("footer", tag("p", HOW_TO_READ), tag("p", f"Made by ouchi {__version__}."))


def _header(run: Run) -> Markup:
    about = run.about
    labels = [tag("li", label) for label in about.labels]
    notes = [tag("p", f"{note.claim}: {note.found}", class_="found") for note in run.notes]
    return tag(
        "header",
        tag("h1", about.name),
        tag("p", f"{headline(run).removeprefix(about.name + ': ')}. {trials_line(run)}{_took(run)}.", class_="sub"),
        *([tag("ul", *labels, class_="labels")] if labels else []),
        *notes,
    )


def _took(run: Run) -> str:
    if not run.about.ended:
        return ""
    began, ended = map(datetime.fromisoformat, (run.about.began, run.about.ended))
    return f" in {duration_text((ended - began).total_seconds())}"


def _summary(run: Run) -> Markup:
    rates, stalls = summary_table(run), stalls_figure(run)
    quiet = tag("p", "The generator itself was never held up for longer than it counts.", class_="quiet")
    none = tag("p", "Nothing was searched for." if run.about.what.get("goals") == [] else "No rate was found.")
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
        _figures(run, found_figure(run), stalls),
        *([] if stalls or not run.trials else [quiet]),
    )


def _size(run: Run, size: str) -> Markup:
    figures = [*loss_figures(run, size), latency_figure(run, size), gaps_figure(run, size), load_figure(run, size)]
    latencies = latency_table(run, size)
    table = [tag("h3", "Latency"), _table(latencies)] if latencies.rows else []
    return tag("section", tag("h2", size_words(size).capitalize()), _figures(run, *figures), *table)


def _made_on(run: Run) -> Markup:
    about = run.about
    groups = (
        ("Measured", about.what),
        ("Host", about.host),
        ("Versions", about.versions),
        ("Settings", about.settings),
    )
    told = [tag("div", tag("h3", name), _facts(values)) for name, values in groups if values]
    return tag("section", tag("h2", "What it was measured on"), tag("div", *told, class_="figures"))


def _trials(run: Run) -> Markup:
    names = (
        "frames",
        "repeat",
        "trial",
        "offered",
        "seconds",
        "sent",
        "lost",
        "refused",
        "loss",
        "unsent",
        "50 %",
        "99 %",
        "max",
    )
    head = [tag("th", name, class_="word" if not place else None) for place, name in enumerate(names)]
    table = tag(
        "table",
        tag("thead", tag("tr", *head, tag("th", "remarks", class_="long"))),
        tag("tbody", *map(_trial, run.trials[:MOST_ROWS])),
    )
    left = len(run.trials) - MOST_ROWS
    rest = [tag("p", f"{left:,} more are in the run's folder.")] if left > 0 else []
    return tag(
        "section",
        tag("h2", "Every trial"),
        tag("details", tag("summary", trials_line(run)), tag("div", table, class_="wide"), *rest, id="trials"),
    )


def _trial(recorded: Recorded) -> Markup:
    trial = recorded.trial
    latency = Histogram.merged(stream.latency for stream in trial.streams)
    figures = (
        str(recorded.repeat), str(trial.number), rate_text(trial.intended_pps), f"{trial.seconds:.4g}", f"{trial.sent:,}",
        f"{trial.lost:,}", f"{trial.refused:,}", share_text(judged_loss(trial)), f"{trial.unsent:,}",
        *(time_text(latency.percentile(percent)) for percent in (50, 99)), time_text(latency.maximum),
    )  # fmt: skip
    said = "; ".join(filter(None, [trial.label, *remarks(trial)]))
    cells = [tag("td", recorded.size, class_="word"), *(tag("td", text) for text in figures)]
    return tag("tr", *cells, tag("td", said, class_="long"), class_=None if trial.valid else "bad-trial")


def _table(table: Table, look: str = "") -> Markup:
    look_of = ["word" if place in table.words else None for place in range(len(table.columns))]
    head = [tag("th", name, class_=look) for name, look in zip(table.columns, look_of, strict=True)]
    rows = [
        tag("tr", *(tag("td", text, class_=of) for text, of in zip(row, look_of, strict=True))) for row in table.rows
    ]
    made = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_=look or None)
    return tag("div", made, class_="wide")


def _facts(values: Mapping[str, Any]) -> Markup:
    rows = [tag("tr", tag("td", key), tag("td", text)) for key, text in flat(values)]
    return tag("table", tag("tbody", *rows), class_="facts")


def _figures(run: Run, *figures: Figure | None) -> Markup:
    return tag("div", *(figure.html(run.about.labels) for figure in figures if figure), class_="figures")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
