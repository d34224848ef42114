"""The rule by which trials bound a goal."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.plain import to_plain
from ouchi.measure.runs.document import load
from ouchi.measure.search.goals import NDR, PDR, RFC2544, TST009, Bounds, Goal, bounds, meets, partial_drop_goal
from ouchi.measure.search.trial import Trial
from tests.measured import find
from tests.simulated import SimulatedDevice


def trials(*losses: int, seconds: float = 1.0, pps: float = 1000.0) -> list[Trial]:
    """One trial at a rate for each number of packets lost."""
    made = []
    for lost in losses:
        trial = SimulatedDevice(1e9).trial(pps, seconds)
        (stream,) = trial.streams
        made.append(replace(trial, streams=(replace(stream, received=stream.sent - lost),)))
    return made


def test_a_rate_meets_a_goal_when_the_good_seconds_suffice() -> None:
    assert meets(NDR, trials(*[0] * 10)) is None
    assert meets(NDR, trials(*[0] * 11)) is True
    assert meets(NDR, trials(*[0] * 10, *[1] * 10)) is None
    assert meets(NDR, trials(*[0] * 10, *[1] * 11)) is False
    assert meets(NDR, trials(*[1] * 11)) is False
    assert meets(NDR, []) is None


def test_loss_up_to_the_ratio_is_good() -> None:
    assert meets(PDR, trials(*[5] * 11)) is True
    assert meets(PDR, trials(*[6] * 11)) is False


def test_short_trials_only_count_when_bad() -> None:
    assert meets(RFC2544, trials(*[0] * 100)) is None
    assert meets(RFC2544, trials(1)) is False
    assert meets(TST009, trials(*[1] * 60)) is None
    assert meets(TST009, trials(*[1] * 61)) is False
    assert meets(TST009, trials(*[1] * 61, 0)) is None
    assert meets(TST009, trials(0, seconds=60)) is True


def test_invalid_trials_count_neither_way() -> None:
    spoilt = [replace(trial, invalid=("spoilt",)) for trial in trials(*[0] * 50, *[1] * 50)]
    assert meets(NDR, spoilt) is None
    assert bounds(NDR, spoilt, "why") == Bounds(NDR, None, None, None, "why")


def test_rates_above_one_that_fails_are_not_believed() -> None:
    every = trials(*[0] * 11, pps=1000) + trials(*[1] * 11, pps=2000) + trials(*[0] * 11, pps=3000)
    found = bounds(NDR, every)
    assert (found.lower_pps, found.upper_pps) == (1000, 2000)


@given(st.lists(st.booleans(), max_size=40), st.sampled_from([NDR, PDR, RFC2544, TST009]), st.booleans())
def test_a_verdict_once_certain_only_hardens_or_softens_with_what_agrees(
    bad: list[bool], expected: Goal, long: bool
) -> None:
    """One more good trial never turns a rate that meets into one that does not, nor a bad one the other way."""
    seconds = expected.final_seconds if long else 1.0
    seen = trials(*[100 * each for each in bad], seconds=seconds)
    verdict = meets(expected, seen)
    if verdict is True:
        assert meets(expected, [*seen, *trials(0, seconds=seconds)]) is True
    if verdict is False:
        assert meets(expected, [*seen, *trials(100, seconds=seconds)]) is False


def test_bounds_and_goals_come_back_from_json() -> None:
    found = find(SimulatedDevice(7e6), NDR, RFC2544)
    for each in found.bounds:
        assert load(Bounds, json.loads(json.dumps(to_plain(each)))) == each


def test_a_wide_loss_ratio_gets_a_wide_width() -> None:
    assert (partial_drop_goal(0.001).width, partial_drop_goal(0.02).width, partial_drop_goal(0.001).name) == (
        0.005,
        0.02,
        "PDR 0.1 %",
    )
