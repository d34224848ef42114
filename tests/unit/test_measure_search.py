"""Every search on the simulated device: against plain bisection, published examples and what arithmetic says."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.core.errors import BadInput
from ouchi.measure.search.goals import NDR, PDR, RFC2544, TST009, Bounds, Goal, partial_drop_goal
from ouchi.measure.search.methods import search
from ouchi.measure.search.trial import Trial
from tests.measured import LEAST, LINE, Tampered, find, lower, single_trials
from tests.simulated import SimulatedDevice, predicted_zero_loss_pps

# What is known beforehand


def test_the_example_in_mlrsearchs_readme_to_the_last_digit() -> None:
    ndr = Goal("NDR", 0.0, 1.0, 21.0, exceed_ratio=0.005)
    pdr = replace(ndr, name="PDR", loss_ratio=0.005)
    device = SimulatedDevice(1e6)
    found = search(device, (ndr, pdr), max_pps=1e9, min_pps=1e3, max_seconds=1e9, clock=device.clock)
    assert (found.bounds[0].lower_pps, found.bounds[0].conditional_pps) == (997497.6029392382, 997497.6029392382)
    assert (found.bounds[1].lower_pps, found.bounds[1].conditional_pps) == (1002508.6747611101, 1000000.6730730429)


@pytest.mark.parametrize(("ring", "mpps"), [(256, 0.86), (512, 1.71), (1024, 3.41), (2048, 6.81)])
def test_with_stalls_zero_loss_is_the_ring_over_the_stall(ring: int, mpps: float) -> None:
    device = SimulatedDevice(7e6, ring=ring, stall_seconds=300e-6, stalls_per_second=0.2)
    found = find(device, RFC2544)
    assert not found.reason
    assert lower(found) / 1e6 == pytest.approx(mpps, abs=0.005)
    # A packet more than the ring holds may still be on its way in.
    assert lower(found) <= predicted_zero_loss_pps(ring + 1, 300e-6)
    assert lower(found) >= predicted_zero_loss_pps(ring, 300e-6) * (1 - RFC2544.width)


def test_one_stall_in_20_seconds_shows_in_trials_of_60_seconds_and_not_of_1() -> None:
    short, long = [], []
    for seed in range(5):
        found = find(SimulatedDevice(7e6, stall_seconds=300e-6, stalls_per_second=0.05, seed=seed), NDR, RFC2544)
        short.append(lower(found))
        long.append(found.bounds[1].lower_pps or 0.0)
    assert all(each == pytest.approx(6.98e6, rel=0.005) for each in short)
    assert sorted(long)[2] < 2.5e6


def test_goals_of_short_trials_are_not_judged_by_long_ones() -> None:
    device = SimulatedDevice(7e6, stall_seconds=300e-6, stalls_per_second=0.05)
    assert find(device, RFC2544, NDR).bounds[1].lower_pps == pytest.approx(6.98e6, rel=0.005)


def test_what_the_profiles_cost_on_a_clean_device() -> None:
    for goals, most in (((NDR, PDR), 40), ((RFC2544,), 310), ((TST009,), 370)):
        device = SimulatedDevice(7e6, ring=1024)
        assert not find(device, *goals).reason
        assert device.clock() <= most


def test_a_prediction_without_stalls_has_no_limit() -> None:
    assert predicted_zero_loss_pps(1024, 0.0) == float("inf")


# Against plain bisection


@settings(max_examples=25, deadline=None)
@given(st.floats(5e4, 1.4e7), st.integers(0, 4096), st.sampled_from([0.0, 0.005, 0.02]), st.integers(1, 2))
def test_every_search_agrees_with_bisection(capacity: float, ring: int, ratio: float, streams: int) -> None:
    def device() -> SimulatedDevice:
        return SimulatedDevice(capacity, ring=ring, streams=streams)

    most, least, width = LINE * streams, LEAST * streams, max(0.005, ratio)
    simple = single_trials("binary", device(), max_pps=most, min_pps=least, loss_ratio=ratio, width=width)
    clever = search(device(), (partial_drop_goal(ratio),), max_pps=most, min_pps=least, max_seconds=1e9)
    results = [simple, clever]
    if ratio == 0:
        results.append(single_trials("tst009", device(), max_pps=most, min_pps=least))
    for result in results:
        (found,) = result.bounds
        assert not result.reason
        assert found.narrow, found
        assert lower(result) <= lower(simple) / (1 - width)
        assert lower(result) >= lower(simple) * (1 - width)
        # And both with what arithmetic says: capacity and, within a second, the ring.
        limit = (capacity + ring + 1) * streams / (1 - ratio)
        assert lower(result) <= limit * (1 + 1e-6)
        assert found.upper_pps is not None
        assert found.upper_pps > (capacity + ring - 2) * streams / (1 - ratio) * (1 - 1e-6)


@settings(max_examples=12, deadline=None)
@given(st.floats(1e5, 1e7), st.integers(0, 2048), st.floats(0, 1e-6), st.integers(0, 99))
def test_our_rule_gives_the_bounds_that_mlrsearch_gives(capacity: float, ring: int, loss: float, seed: int) -> None:
    from MLRsearch import Config, MeasurementResult, MultipleLossRatioSearch, SearchGoal

    class Measurer:
        def __init__(self) -> None:
            self.device = SimulatedDevice(capacity, ring=ring, loss=loss, seed=seed)

        def measure(self, intended_duration: float, intended_load: float) -> object:
            trial = self.device.trial(intended_load, intended_duration)
            return MeasurementResult(intended_duration, intended_load, offered_count=trial.sent, loss_count=trial.lost)

    theirs = {each: SearchGoal(loss_ratio=each.loss_ratio, fail_fast=False) for each in (NDR, PDR)}
    config = Config(goals=theirs.values(), min_load=LEAST, max_load=LINE, warmup_duration=None)
    expected = MultipleLossRatioSearch(config).search(measurer=Measurer(), debug=lambda _: None)
    found = find(SimulatedDevice(capacity, ring=ring, loss=loss, seed=seed), NDR, PDR)
    for ours in found.bounds:
        result = expected[theirs[ours.goal]]
        for value, bound in (
            (ours.lower_pps, result.relevant_lower_bound),
            (ours.upper_pps, result.relevant_upper_bound),
            (ours.conditional_pps, result.conditional_throughput),
        ):
            assert value == (None if bound is None else float(bound))


def test_several_goals_at_once_in_the_order_requested() -> None:
    found = find(SimulatedDevice(5e6), PDR, TST009, NDR)
    assert [each.goal.name for each in found.bounds] == ["PDR", "TST 009", "NDR"]
    assert all(each.narrow and each.reason == "" for each in found.bounds)
    assert found.bounds[0].conditional_pps == pytest.approx(5e6, rel=1e-3)


def test_the_same_goal_under_two_names_is_no_harm() -> None:
    one, other = find(SimulatedDevice(5e6), PDR, replace(PDR, name="again")).bounds
    assert one.lower_pps == other.lower_pps


def test_two_directions_are_judged_each_by_itself() -> None:
    """One direction loses 0.8 %, the other nothing: 0.4 % in all, and still no PDR of 0.5 %."""

    def one_sided(_: int, trial: Trial) -> Trial:
        first, second = trial.streams
        return replace(trial, streams=(replace(first, received=first.sent - first.sent * 8 // 1000), second))

    device = Tampered(SimulatedDevice(1e9, streams=2), one_sided, streams=2)
    (found,) = search(device, (PDR,), max_pps=LINE, min_pps=LEAST, max_seconds=60).bounds
    assert found.lower_pps is None
    assert found.reason == "not met even at 9,000 pps, the minimum offered"


# Ends of the range


@pytest.mark.parametrize("how", ["mlrsearch", "binary", "tst009"])
def test_a_device_beyond_the_range_states_so(how: str) -> None:
    def run(capacity: float) -> Bounds:
        device = SimulatedDevice(capacity)
        if how == "mlrsearch":
            return find(device, NDR).bounds[0]
        return single_trials(how, device).bounds[0]  # type: ignore[arg-type]

    fast, slow = run(1e9), run(10.0)
    assert (fast.lower_pps, fast.upper_pps) == (pytest.approx(LINE), None)
    assert fast.reason == "met at 14,880,952 pps, the maximum offered"
    assert (slow.lower_pps, slow.upper_pps) == (None, pytest.approx(LEAST))
    assert slow.reason == "not met even at 9,000 pps, the minimum offered"


@pytest.mark.parametrize(("least", "most"), [(0.0, 1e6), (-1.0, 1e6), (1e6, 1e6), (2e6, 1e6), (1.0, float("inf"))])
def test_an_empty_range_is_refused(least: float, most: float) -> None:
    device = SimulatedDevice(1e6)
    for run in (
        lambda: search(device, (NDR,), max_pps=most, min_pps=least, max_seconds=60),
        lambda: single_trials("binary", device, max_pps=most, min_pps=least),
        lambda: single_trials("tst009", device, max_pps=most, min_pps=least),
    ):
        with pytest.raises(BadInput, match="the range of rates is empty"):
            run()
