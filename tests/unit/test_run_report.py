"""A run's report: every output says what the run says, and nothing in a run's files can do more than be shown."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ouchi.cli.report import command
from ouchi.core.errors import BadInput
from ouchi.core.plain import to_plain
from ouchi.machine.local import LocalMachine
from ouchi.measure.generator.rates import l1_bits
from ouchi.measure.runs.folder import RunWriter, read_run
from ouchi.measure.runs.model import Run, RunInfo
from ouchi.measure.search.goals import NDR, PDR, RFC2544, judged_loss
from ouchi.measure.search.trial import Histogram, Trial
from ouchi.report.run.csv import csv_text
from ouchi.report.run.page import page_html
from ouchi.report.run.prometheus import prometheus_text
from ouchi.report.run.scales import ZERO_ROOM, Scale, decades, decades_with_zero, linear
from ouchi.report.run.table import markdown
from ouchi.report.run.terminal import run_text
from ouchi.report.run.units import rate_text, share_text, time_text
from tests.exposition import check_exposition
from tests.runs import FRACTIONS, HOSTILE, LABELS, RING, STALL_SECONDS, hostile_run, write_run
from tests.simulated import SimulatedDevice, predicted_zero_loss_pps

MACHINE = LocalMachine()


class Page(HTMLParser):
    """The elements of a page in order, and the text in each kind of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def of(self, tag: str, look: str = "") -> list[dict[str, str | None]]:
        """The attributes of the elements of a kind that have a class."""
        expected = set(look.split())
        return [attributes for name, attributes in self.elements if name == tag and expected <= classes(attributes)]


def classes(attributes: dict[str, str | None]) -> set[str]:
    return set((attributes.get("class") or "").split())


def charts(page: Page) -> dict[str, list[tuple[str, dict[str, str | None]]]]:
    """The elements of each chart by its title."""
    found: dict[str, list[tuple[str, dict[str, str | None]]]] = {}
    inside: list[tuple[str, dict[str, str | None]]] = []
    for tag, attributes in page.elements:
        if tag == "svg":
            inside = found.setdefault(attributes["aria-label"] or "", [])
        elif tag in ("figure", "section", "footer"):
            inside = []
        inside.append((tag, attributes))
    return found


def drawn(chart: list[tuple[str, dict[str, str | None]]], look: str) -> list[dict[str, str | None]]:
    return [attributes for _, attributes in chart if set(look.split()) <= classes(attributes)]


@pytest.fixture(scope="module")
def page(run: Run) -> Page:
    return Page(page_html(run))


# The page


def test_the_page_asks_for_nothing_and_allows_only_its_own(page: Page, run: Run) -> None:
    for tag, attributes in page.elements:
        assert tag not in ("img", "iframe", "object", "embed", "base", "form", "a")
        assert not {
            name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset", "action")
        }
    assert [attributes["href"] for attributes in page.of("link")] == ["data:,"]
    assert not re.search(r"https?://|@import|url\(", page_html(run))
    (policy,) = (
        str(each["content"]) for each in page.of("meta") if each.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag in ("script", "style"):
        (text,) = page.texts[tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_the_page_is_small(run: Run) -> None:
    assert len(page_html(replace(run, trials=())).encode()) < 60_000
    assert len(page_html(run).encode()) < 60_000 + 2000 * len(run.trials)


def test_no_text_of_a_run_becomes_part_of_the_page(tmp_path: Path) -> None:
    found = hostile_run(tmp_path / "run")
    text = page_html(found)
    page = Page(text)
    kinds = {tag for tag, _ in page.elements}
    assert page.texts["script"] == Page(page_html(replace(found, trials=(), results=()))).texts["script"]
    known = (
        "html head meta link title style body header h1 h2 h3 p ul li section div table thead tbody tr th td details "
        "summary button pre strong figure figcaption span svg circle path rect line polyline text footer script"
    )
    assert kinds <= set(known.split())
    shown = HOSTILE.replace("\x1b", "\ufffd")
    assert page.texts["h1"] == [shown]
    assert shown in page.texts["title"][0]
    assert page.texts["li"][0] == shown
    assert any(shown in cell for cell in page.texts["td"])
    message = [title for title in page.texts["title"][1:] if shown in title]
    assert message
    assert "<img" not in text
    assert text.count("<script>") == 1


def test_labels_stand_at_the_top_and_in_each_figure(page: Page) -> None:
    assert page.texts["ul"][0] == "".join(LABELS)
    assert len(page.of("figure")) == page.texts["p"].count("; ".join(LABELS)) > 6


def test_each_trial_is_a_mark_in_its_position(run: Run, page: Page) -> None:
    for size, title in (("64", "Loss, 64-byte frames"), ("imix", "Loss, imix frames")):
        chart, trials = charts(page)[title], [each.trial for each in run.of_size(size)]
        valid = [trial for trial in trials if trial.valid]
        dots = drawn(chart, "mark dot")
        assert len(dots) == len(valid) < len(trials)
        assert len(drawn(chart, "mark cross bad")) == len(trials) - len(valid)
        points = [(float(dot["cx"] or 0), float(dot["cy"] or 0)) for dot in dots]
        for (x, y), trial in zip(points, valid, strict=True):
            for (other_x, other_y), other in zip(points, valid, strict=True):
                if trial.intended_pps < other.intended_pps * 0.99:
                    assert x < other_x
                if judged_loss(trial) < judged_loss(other) * 0.9:
                    assert y > other_y
    message = page.texts["title"]
    some = next(each.trial for each in run.trials if each.trial.lost)
    assert any(f"lost {some.lost:,} of {some.sent:,} sent ({share_text(some.loss_ratio)})" in each for each in message)


def test_bounds_are_drawn_where_the_search_left_them(run: Run, page: Page) -> None:
    chart = charts(page)["Loss, 64-byte frames"]
    assert len(drawn(chart, "band")) == len([each for each in run.results if each.size == "64"]) * 3
    for index, goal in enumerate((NDR, PDR, RFC2544)):
        (row,) = (row for row in run.summary if (row.size, row.goal) == ("64", goal.name))
        assert f"{goal.name} {(row.median_pps or 0) / 1e6:.3f}" in page.texts["text"]
        (rule,) = (each for each in drawn(chart, f"rule c{index}") if each["x1"] == each["x2"])
        bands = [float(band["x"] or 0) for band in drawn(chart, f"band c{index}")]
        assert min(bands) - 0.02 <= float(rule["x1"] or 0) <= max(bands) + 0.02
    assert share_text(PDR.loss_ratio) in page.texts["text"]


def test_zero_loss_in_long_trials_is_what_stalls_and_ring_allow(run: Run) -> None:
    (row,) = (row for row in run.summary if (row.size, row.goal) == ("64", RFC2544.name))
    assert row.median_pps == pytest.approx(2 * predicted_zero_loss_pps(RING, STALL_SECONDS), rel=0.006)


def test_latencies_are_those_of_the_trials(run: Run, page: Page) -> None:
    cells = page.texts["td"]
    for fraction in FRACTIONS:
        numbers = {
            (r.repeat, p.trial) for r in run.results if r.size == "64" for p in r.latency if p.fraction == fraction
        }
        trials = [
            each.trial for each in run.of_size("64") if (each.repeat, each.trial.number) in numbers and each.trial.valid
        ]
        both = [stream.latency for trial in trials for stream in trial.streams if stream.stream == "0→1"]
        row = cells.index(f"{share_text(fraction)} of NDR")
        expected = [time_text(Histogram.merged(both).percentile(percent)) for percent in (50, 90, 99, 99.9, 100)]
        assert cells[row + 2 : row + 8] == ["0→1", *expected]
    assert drawn(charts(page)["Latency, 64-byte frames"], "mark dot")


def test_invalid_trials_measure_no_latency(tmp_path: Path) -> None:
    def spoilt(trial: Trial) -> Trial:
        return replace(trial, invalid=("spoilt",)) if trial.label == "latency at 50%" else trial

    write_run(tmp_path / "run", repeats=1, change=spoilt)
    cells = Page(page_html(read_run(MACHINE, tmp_path / "run"))).texts["td"]
    assert [fraction for fraction in FRACTIONS if f"{share_text(fraction)} of NDR" in cells] == [0.1, 0.9]


def test_gaps_are_drawn_with_their_packets(run: Run, page: Page) -> None:
    message = [title for title in page.texts["title"] if "from sequence" in title]
    assert len(drawn(charts(page)["Losses over time, 64-byte frames"], "mark")) <= len(message)
    gaps = {
        f"{stream.stream}: {gap.packets:,} packet{'s' * (gap.packets != 1)} lost from {gap.begin_s:.6f} s"
        for each in run.trials
        for stream in each.trial.streams
        for gap in stream.gaps
    }
    assert message
    assert {title.splitlines()[0] for title in message} <= gaps


def test_load_and_stalls_are_drawn_where_they_were_counted(run: Run, page: Page, tmp_path: Path) -> None:
    assert drawn(charts(page)["Load of each core, 64-byte frames"], "mark dot")
    times = sum(count for each in run.trials for _, count in each.trial.stalls.histogram)
    assert any(text.startswith(f"{times:,} stalls in {len(run.trials):,} trials") for text in page.texts["p"])
    device = SimulatedDevice(1e6)
    writer = RunWriter(MACHINE, tmp_path / "quiet", RunInfo("quiet", "2026-11-23T05:00:00+00:00", "loop"))
    writer.add("64", 1, device.trial(1e5, 1.0))
    idle = Page(page_html(read_run(MACHINE, tmp_path / "quiet")))
    assert list(charts(idle)) == ["Loss, 64-byte frames"]
    assert "The generator never stalled." in idle.texts["p"]
    assert "No rate was found." in idle.texts["p"]
    assert "the run is not complete: it ended early, after 1 trials" in idle.texts["p"]


def test_every_trial_is_a_row(run: Run, page: Page) -> None:
    rows = page.texts["tbody"][-1]
    assert (
        page.texts["summary"][-1] == f"{len(run.trials)} trials, {sum(not e.trial.valid for e in run.trials)} invalid"
    )
    assert len(page.of("tr", "bad-trial")) == sum(not each.trial.valid for each in run.trials)
    for each in run.trials:
        assert rate_text(each.trial.intended_pps) in rows
        assert f"{each.trial.sent:,}" in rows


def test_a_run_without_any_trial(tmp_path: Path) -> None:
    RunWriter(MACHINE, tmp_path / "run", RunInfo("nothing", "2026-11-23T05:00:00+00:00", "loop"))
    found = read_run(MACHINE, tmp_path / "run")
    assert charts(Page(page_html(found))) == {}
    assert "0 trials, 0 invalid" in run_text(found, 80)
    assert csv_text(found).count("\n") == 1
    check_exposition(prometheus_text(found))


def test_a_run_of_which_no_trial_is_valid(tmp_path: Path) -> None:
    device = SimulatedDevice(1e6, fault="negative")
    writer = RunWriter(MACHINE, tmp_path / "run", RunInfo("odd", "2026-11-23T05:00:00+00:00", "loop"))
    for pps in (1e3, 1e5):
        writer.add("64", 1, device.trial(pps, 1.0))
    chart = charts(Page(page_html(read_run(MACHINE, tmp_path / "run"))))["Loss, 64-byte frames"]
    assert (len(drawn(chart, "dot mark")), len(drawn(chart, "cross"))) == (0, 2)


@given(st.data())
def test_whatever_can_be_read_can_be_reported(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("odd") / "run"
    device = SimulatedDevice(1e6, stall_seconds=1e-3, stalls_per_second=3, streams=2)
    writer = RunWriter(MACHINE, folder, RunInfo("odd", "2026-11-23T05:00:00+00:00", "loop"))
    for pps in (3e5, 2e6):
        writer.add("64", 1, replace(device.trial(pps, 1.0), counters={"ovs": {"pmd": {"one": {"busy": 0.5}}}}))
    odd = st.sampled_from([0, 0.0, 5e-324, 1, 1e-9, 2**64 - 1, 1.5e19, "", "x", [], {}, None])
    lines = [json.loads(line) for line in (folder / "trials.ndjson").read_text().splitlines()]
    for _ in range(data.draw(st.integers(1, 4))):
        whole = data.draw(st.sampled_from(lines))
        points = [at for at in members(whole) if at]
        *path, last = data.draw(st.sampled_from(points))
        for step in path:
            whole = whole[step]
        whole[last] = data.draw(odd)
    (folder / "trials.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        found = read_run(MACHINE, folder)
    except BadInput:
        return
    Page(page_html(found))
    csv_text(found)
    check_exposition(prometheus_text(found))
    run_text(found, 80)


def members(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The path of every member, at any depth."""
    yield ()
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from ((key, *path) for path in members(item))


# Text


def test_markdown_is_the_summary_with_its_labels(run: Run) -> None:
    text = markdown(run)
    first = text.split("\n\n")
    assert first[1] == "**shared cores; emulated**"
    table = [re.split(r"(?<!\\)\|", line)[1:-1] for line in first[2].splitlines()]
    assert {len(row) for row in table} == {8}
    assert len({len(line) for line in first[2].splitlines()}) == 1  # it reads as a table unrendered too
    rows = [[cell.strip() for cell in row] for row in table[2:]]
    assert [row[:2] for row in rows] == [[row.size, row.goal] for row in run.summary]
    assert [row[3] for row in rows] == [rate_text(row.median_pps) for row in run.summary]
    assert rows[1][2] == "0.5 % in 1 s"
    wire = l1_bits(run.summary[0].median_pps or 0, 64) / 1e9
    assert rows[0][4] == f"{wire:.2f} Gbit/s"


def test_markdown_cells_stay_cells(tmp_path: Path) -> None:
    text = markdown(hostile_run(tmp_path / "run"))
    table = text.split("\n\n")[2].splitlines()
    assert {len(re.split(r"(?<!\\)\|", line)) for line in table} == {10}
    assert "<" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", range(80, 121, 8))
def test_the_terminal_shows_every_figure(run: Run, width: int) -> None:
    text = run_text(run, width, colour=False)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    for label in LABELS:
        assert f"label: {label}" in text
    words = "".join(text.split())
    for row in run.summary:
        assert rate_text(row.median_pps).replace(" ", "") in words


def test_a_terminal_is_not_commanded_by_a_run(tmp_path: Path) -> None:
    assert "\x1b" not in run_text(hostile_run(tmp_path / "run"), 100, colour=False)


def test_csv_has_every_count_of_every_direction(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(run))))
    streams = [(each, stream) for each in run.trials for stream in each.trial.streams]
    assert len(rows) == len(streams)
    for row, (each, stream) in zip(rows, streams, strict=True):
        assert (row["size"], row["repeat"], row["trial"]) == (each.size, str(each.repeat), str(each.trial.number))
        counts = ("intended", "attempted", "sent", "received", "duplicated", "reordered", "corrupt", "lost", "unsent")
        assert [int(row[name]) for name in counts] == [getattr(stream, name) for name in counts]
        assert float(row["intended_pps"]) == each.trial.intended_pps
        assert bool(int(row["valid"])) is each.trial.valid
        assert row["latency_99_ns"] == str(stream.latency.percentile(99))
        assert row["run_labels"] == "; ".join(LABELS)


def test_csv_is_no_formula(tmp_path: Path) -> None:
    device = SimulatedDevice(1e6)
    writer = RunWriter(MACHINE, tmp_path / "run", RunInfo("n", "2026-11-23T05:00:00+00:00", "p", labels=("@SUM(1)",)))
    writer.add(
        "=1+1", 1, replace(device.trial(1e5, 1.0), label="+cmd|' /C calc'!A0", invalid=("-2", 'a "quoted", one'))
    )
    (row,) = csv.DictReader(io.StringIO(csv_text(read_run(MACHINE, tmp_path / "run"))))
    found = [row[name] for name in ("size", "label", "remarks", "run_labels")]
    assert found == ["'=1+1", "'+cmd|' /C calc'!A0", '\'-2; a "quoted", one', "'@SUM(1)"]


# Scales


@given(st.data())
def test_scales_keep_order_and_stay_within(data: st.DataObject) -> None:
    positive = st.floats(1e-12, 1e12)
    low, high = sorted((data.draw(positive), data.draw(positive)))
    scale: Scale = data.draw(st.sampled_from([linear, decades, decades_with_zero]))(low, high, str)
    values = sorted(data.draw(st.lists(st.floats(0, 2e12), min_size=2)))
    points = [scale.position(value) for value in values]
    assert points == sorted(points)
    assert all(0 <= at <= 1 for at in points)
    ticks = [scale.position(value) for value, _ in scale.ticks]
    assert ticks == sorted(ticks)
    assert len(ticks) <= 12


def test_nothing_lost_has_a_position_of_its_own() -> None:
    scale = decades_with_zero(1e-6, 1, share_text)
    assert scale.position(0) < ZERO_ROOM <= scale.position(1e-6) < scale.position(1) == 1
    assert [text for _, text in scale.ticks] == ["0", "0.0001 %", "0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"]


# The command


def ouchi_report(*words: object) -> Result:
    done = CliRunner().invoke(command, [str(word) for word in words])
    if isinstance(done.exception, BadInput):
        raise done.exception
    return done


def test_the_command_writes_the_page_into_the_run(folder: Path, run: Run) -> None:
    done = ouchi_report(folder)
    assert done.exit_code == 0
    assert (folder / "report.html").read_text() == page_html(run)
    assert (folder / "report.html").stat().st_mode & 0o777 == 0o644
    assert rate_text(run.summary[0].median_pps) in done.stdout
    assert done.stderr == f"written: {folder}/report.html\n"


def test_other_outputs_come_without_the_page(folder: Path, run: Run, tmp_path: Path) -> None:
    (folder / "report.html").unlink(missing_ok=True)
    done = ouchi_report(folder, "--csv", tmp_path / "a.csv", "--prometheus", tmp_path / "a.prom", "--markdown")
    assert done.stdout.rstrip("\n") == markdown(run)
    with (tmp_path / "a.csv").open(newline="") as file:
        assert file.read() == csv_text(run)
    assert (tmp_path / "a.prom").read_text() == prometheus_text(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.prom"]
    assert not (folder / "report.html").exists()
    assert json.loads(ouchi_report(folder, "--json").stdout) == to_plain(run)
    ouchi_report(folder, "--json", "-o", tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == page_html(run)


def test_what_cannot_be_done_is_reported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no run"):
        ouchi_report(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="cannot be written"):
        ouchi_report(folder, "-o", tmp_path / "nowhere" / "a.html")
    done = ouchi_report(folder, "--json", "--markdown")
    assert done.exit_code == click.UsageError.exit_code
