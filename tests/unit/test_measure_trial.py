"""A trial's arithmetic and its way to a file and back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.plain import to_plain
from ouchi.measure.runs.document import load
from ouchi.measure.runs.model import TrialRecord
from ouchi.measure.search.trial import Gap, Histogram, Stalls, StreamResult, Trial

COUNTS = st.integers(0, 10**12)
SECONDS = st.floats(0, 1e6)
HISTOGRAMS = st.dictionaries(st.integers(0, 10**9), st.integers(1, 10**9), max_size=5).map(
    lambda counts: Histogram(1.0, tuple(sorted(counts.items())))
)
STREAMS = st.builds(
    StreamResult,
    stream=st.text(max_size=5),
    tx_port=st.just("a"),
    rx_port=st.just("b"),
    size=st.floats(64, 9000),
    intended=COUNTS,
    attempted=COUNTS,
    sent=COUNTS,
    received=COUNTS,
    duplicated=COUNTS,
    reordered=COUNTS,
    corrupt=COUNTS,
    latency=HISTOGRAMS,
    variation_ns=SECONDS,
    gaps=st.lists(st.builds(Gap, SECONDS, COUNTS, COUNTS), max_size=2).map(tuple),
    gaps_dropped=COUNTS,
    tx_backpressure=COUNTS,
    rx_overrun_suspect=COUNTS,
)
TRIALS = st.builds(
    Trial,
    number=COUNTS,
    label=st.text(max_size=5),
    intended_pps=SECONDS,
    intended_seconds=SECONDS,
    seconds=SECONDS,
    streams=st.lists(STREAMS, max_size=2).map(tuple),
    stalls=st.builds(Stalls, SECONDS, COUNTS, SECONDS, st.just(((10.0, 3),))),
    foreign=COUNTS,
    invalid=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    counters=st.dictionaries(st.text(max_size=5), COUNTS, max_size=2),
    started=st.just("2026-01-01T00:00:00+00:00"),
    under_offered=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    tester_suspect=st.lists(st.text(max_size=5), max_size=2).map(tuple),
)


@given(TRIALS)
def test_a_trial_comes_back_from_json_as_it_was(trial: Trial) -> None:
    line = json.dumps(to_plain(TrialRecord("64", 1, trial)))
    assert load(TrialRecord, json.loads(line)) == TrialRecord("64", 1, trial)
    result = json.loads(line)["trial"]
    assert (result["lost"], result["sent"], result["valid"]) == (trial.lost, trial.sent, trial.valid)
    assert [one["unsent"] for one in result["streams"]] == [stream.unsent for stream in trial.streams]


@given(TRIALS)
def test_sums_are_those_of_the_streams(trial: Trial) -> None:
    assert trial.lost == trial.sent - trial.received + sum(stream.duplicated for stream in trial.streams)
    assert trial.unsent == trial.intended - trial.sent
    assert trial.valid is (trial.remarks == ())


def test_duplicates_do_not_hide_loss(trial: Trial) -> None:
    stream = replace(trial.streams[0], sent=100, received=100, duplicated=7)
    assert stream.lost == 7
    assert stream.loss_ratio == 0.07


def test_unsent_is_not_lost(trial: Trial) -> None:
    stream = replace(trial.streams[0], intended=100, attempted=100, sent=90, received=90)
    assert (stream.lost, stream.unsent) == (0, 10)


def test_rates_come_from_the_measured_time(trial: Trial) -> None:
    slow = replace(trial, seconds=2.0, streams=(replace(trial.streams[0], sent=1000, received=990),))
    assert (slow.sent_pps, slow.received_pps) == (500, 495)


def test_nothing_sent_shows_nothing_good(trial: Trial) -> None:
    silent = replace(trial, seconds=0.0, streams=(replace(trial.streams[0], sent=0, received=0),))
    assert (silent.loss_ratio, silent.streams[0].loss_ratio, silent.sent_pps, silent.received_pps) == (1, 1, 0, 0)


def test_percentiles_are_those_of_the_sorted_packets() -> None:
    histogram = Histogram(1.0, ((10, 50), (20, 40), (30, 9), (1000, 1)))
    assert [histogram.percentile(p) for p in (0, 50, 50.1, 90, 99, 99.1, 100)] == [10, 10, 20, 20, 30, 1000, 1000]
    assert (histogram.percentile(0), histogram.maximum, histogram.mean, histogram.total) == (10, 1000, 25.7, 100)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=50), st.floats(0, 100))
def test_percentile_is_nearest_rank(values: list[int], percent: float) -> None:
    histogram = Histogram(1.0, tuple((value, values.count(value)) for value in sorted(set(values))))
    found = histogram.percentile(percent)
    assert found is not None
    assert sum(value <= found for value in values) * 100 >= percent * len(values) * (1 - 1e-12)
    assert sum(value < found for value in values) * 100 < max(percent * len(values), 1e-9) * (1 + 1e-12)


def test_an_empty_histogram_has_no_figures() -> None:
    empty = Histogram(1.0)
    assert (empty.maximum, empty.mean, empty.percentile(50), empty.total) == (None, None, None, 0)


@pytest.mark.parametrize("percent", [-0.1, 100.1])
def test_no_percentile_outside_of_0_to_100(percent: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        Histogram(1.0, ((1, 1),)).percentile(percent)


@given(st.lists(HISTOGRAMS, max_size=3))
def test_merging_keeps_every_packet(histograms: list[Histogram]) -> None:
    merged = Histogram.merged(histograms)
    assert merged.total == sum(histogram.total for histogram in histograms)
    assert list(merged.counts) == sorted(merged.counts)


@pytest.fixture
def trial() -> Trial:
    stream = StreamResult("s", "a", "b", 64.0, 1000, 1000, 1000, 1000, 0, 0, 0, Histogram(1.0), 0.0)
    return Trial(1, "", 1000.0, 1.0, 1.0, (stream,), Stalls(0.0, 0, 10.0), 0, (), {}, "2026-01-01T00:00:00+00:00")
