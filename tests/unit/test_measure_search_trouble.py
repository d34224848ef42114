"""Searches that meet loss by chance, invalid trials, devices without sense, the end of the time, or the user."""

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.measure.search.evidence import ATTEMPTS, INTERRUPTED
from ouchi.measure.search.goals import NDR, PDR, RFC2544, TST009, Goal, bounds
from ouchi.measure.search.methods import search
from ouchi.measure.search.mlrsearch import SearchProgress
from ouchi.measure.search.trial import Trial
from tests.measured import LEAST, LINE, Tampered, find, lower, single_trials
from tests.simulated import SimulatedDevice


def test_constant_loss_costs_the_ndr_and_not_the_pdr() -> None:
    def constant(_: int, trial: Trial) -> Trial:
        (stream,) = trial.streams
        return replace(trial, streams=(replace(stream, received=stream.sent - max(1, stream.sent // 100_000)),))

    device = Tampered(SimulatedDevice(1e9), constant)
    ndr, pdr = search(device, (NDR, PDR), max_pps=LINE, min_pps=LEAST, max_seconds=60).bounds
    assert (ndr.lower_pps, ndr.upper_pps) == (None, pytest.approx(LEAST))
    assert pdr.lower_pps == pytest.approx(LINE)


def test_loss_at_random_ends_all_the_same() -> None:
    found = find(SimulatedDevice(7e6, ring=1024, loss=1e-5), NDR, PDR)
    assert not found.reason
    # Half of the trials of 1 s lose nothing where the mean is ln 2 packets: at 69 kpps.
    assert lower(found) == pytest.approx(69_315, rel=0.35)
    assert lower(found, 1) == pytest.approx(7.02e6, rel=0.005)


@pytest.mark.parametrize("fault", ["negative", "stalled", "corrupt", "foreign"])
@pytest.mark.parametrize("how", ["mlrsearch", "binary", "tst009"])
def test_nothing_but_invalid_trials_ends_a_search_with_their_reason(fault: str, how: str) -> None:
    device = SimulatedDevice(7e6, fault=fault)  # type: ignore[arg-type]
    found = find(device, NDR, RFC2544) if how == "mlrsearch" else single_trials(how, device)  # type: ignore[arg-type]
    assert found.reason
    assert found.reason.startswith(f"{ATTEMPTS} trials in a row at 14,880,952 pps were invalid, the last because ")
    assert found.trials[-1].remarks[0] in found.reason
    assert len(found.trials) == ATTEMPTS
    for each in found.bounds:
        assert (each.lower_pps, each.upper_pps, each.reason) == (None, None, found.reason)


def test_what_is_lost_of_too_little_still_counts_against_its_rate() -> None:
    """But what is not lost proves nothing: the search ends at the first rate at which too little shows no loss."""
    one_trial = replace(NDR, sum_seconds=1.0, exceed_ratio=0.0)
    found = find(SimulatedDevice(7e6, fault="stretched"), one_trial)
    assert "trials in a row" in found.reason
    assert found.trials[-1].under_offered[0] in found.reason
    (ndr,) = found.bounds
    assert ndr.lower_pps is None
    assert ndr.upper_pps is not None
    assert 7e6 <= ndr.upper_pps <= LINE


@pytest.mark.parametrize("fault", ["negative", "unsent", "stalled"])
def test_invalid_trials_now_and_then_change_nothing_but_their_number(fault: str) -> None:
    clean, spoilt = SimulatedDevice(7e6), SimulatedDevice(7e6, fault=fault, fault_every=3)  # type: ignore[arg-type]
    one, other = find(clean, NDR, PDR), find(spoilt, NDR, PDR)
    assert one.bounds == other.bounds
    assert sum(trial.valid for trial in other.trials) == len(one.trials)
    assert sum(not trial.valid for trial in other.trials) == len(other.trials) // 3


def test_a_generator_that_cannot_reach_the_most_may_still_show_that_it_is_too_much() -> None:
    assert find(SimulatedDevice(7e6, generator_pps=10e6), NDR).bounds == find(SimulatedDevice(7e6), NDR).bounds


def test_a_generator_slower_than_the_device_ends_it_and_states_so() -> None:
    found = find(SimulatedDevice(7e6, generator_pps=5e6), NDR)
    assert "were not sent" in found.reason
    assert found.bounds[0].upper_pps is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-5, 0.003, 0.3, 1.0]), min_size=1, max_size=60))
def test_a_device_without_sense_keeps_every_trial(losses: list[float]) -> None:
    def erratic(count: int, trial: Trial) -> Trial:
        (stream,) = trial.streams
        received = stream.sent - int(stream.sent * losses[count % len(losses)])
        return replace(trial, streams=(replace(stream, received=received),))

    device = Tampered(SimulatedDevice(1e9), erratic)
    clock = device.inner.clock
    found = search(device, (NDR, PDR), max_pps=LINE, min_pps=LEAST, max_seconds=500, clock=clock)
    assert len(found.trials) == device.count
    for each in found.bounds:
        assert each.lower_pps is None or each.upper_pps is None or each.lower_pps < each.upper_pps
        assert replace(each, reason="") == bounds(each.goal, found.trials)


def test_when_mlrsearch_gives_up_the_trials_and_their_bounds_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    import MLRsearch.multiple_loss_ratio_search as theirs

    measure, calls = theirs.MultipleLossRatioSearch.measure, [0]

    def gives_up(self: object, duration: float, load: object) -> object:
        calls[0] += 1
        if calls[0] > 20:
            raise RuntimeError("Lower load expected.")
        return measure(self, duration, load)

    monkeypatch.setattr(theirs.MultipleLossRatioSearch, "measure", gives_up)
    found = find(SimulatedDevice(7e6), NDR, PDR)
    assert (bool(found.reason), len(found.trials)) == (True, 20)
    assert found.reason == "the device behaves inconsistently: Lower load expected."
    assert any(each.lower_pps or each.upper_pps for each in found.bounds)


def test_an_error_of_the_device_itself_goes_through() -> None:
    def breaks(count: int, trial: Trial) -> Trial:
        if count == 5:
            raise RuntimeError("the generator is gone")
        return trial

    seen: list[Trial] = []
    with pytest.raises(RuntimeError, match="the generator is gone"):
        search(
            Tampered(SimulatedDevice(7e6), breaks),
            (NDR,),
            max_pps=LINE,
            min_pps=LEAST,
            max_seconds=60,
            on_trial=lambda trial, _: seen.append(trial),
        )
    assert len(seen) == 4


# Time and the user


@pytest.mark.parametrize("max_seconds", [5.0, 20.0, 30.0, 70.0, 120.0])
def test_time_runs_out_with_every_trial_and_its_bounds(max_seconds: float) -> None:
    device = SimulatedDevice(7e6, pause_seconds=0.2)
    found = find(device, NDR, RFC2544, max_seconds=max_seconds)
    assert found.reason
    assert found.reason == f"the time limit of {max_seconds:,.0f} s was reached"
    assert device.clock() <= max_seconds + 0.2
    assert len(found.trials) == found.trials[-1].number
    for each in found.bounds:
        assert each.reason.startswith(found.reason) if not each.narrow else each.reason == ""
    if max_seconds == 20:
        assert found.bounds[0].reason.endswith("; single trials indicate between 6,983,066 and 7,018,142 pps")
        assert found.bounds[1].reason == found.reason


def test_the_limit_is_kept_by_the_wall_clock_too() -> None:
    started = time.process_time()
    found = search(SimulatedDevice(7e6), (RFC2544,), max_pps=LINE, min_pps=LEAST, max_seconds=10)
    assert found.reason == "the time limit of 10 s was reached"
    assert time.process_time() - started < 1


@pytest.mark.parametrize("at", [1, 2, 10, 30])
@pytest.mark.parametrize("how", ["mlrsearch", "binary", "tst009"])
def test_ctrl_c_keeps_what_was_measured(at: int, how: str) -> None:
    def interrupt(count: int, trial: Trial) -> Trial:
        if count == at:
            raise KeyboardInterrupt
        return trial

    device = Tampered(SimulatedDevice(7e6), interrupt)
    if how == "mlrsearch":
        found = search(device, (NDR, PDR), max_pps=LINE, min_pps=LEAST, max_seconds=600)
    else:
        found = single_trials(how, device, width=1e-9)  # type: ignore[arg-type]
    assert (found.reason, found.interrupted) == (INTERRUPTED, True)
    assert [trial.number for trial in found.trials] == list(range(1, at))
    (first, *_) = found.bounds
    assert first.reason.startswith(INTERRUPTED) or first.narrow
    if at == 30 and how != "tst009":
        assert first.lower_pps is not None
        assert first.upper_pps is not None
        assert first.lower_pps <= 7.02e6 <= first.upper_pps * 1.01


def test_ctrl_c_in_the_callback_keeps_the_trial_that_was_reported() -> None:
    def stop(trial: Trial, _: SearchProgress) -> None:
        if trial.number == 3:
            raise KeyboardInterrupt

    found = search(SimulatedDevice(7e6), (NDR,), max_pps=LINE, min_pps=LEAST, max_seconds=60, on_trial=stop)
    assert (found.reason, len(found.trials)) == (INTERRUPTED, 3)


@pytest.mark.parametrize("goals", [(NDR, PDR), (RFC2544,), (TST009,), (NDR, RFC2544)])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_the_standing_shows_where_the_search_is(goals: tuple[Goal, ...], pause: float) -> None:
    device = SimulatedDevice(7e6, ring=1024, pause_seconds=pause)
    result: list[tuple[float, SearchProgress]] = []
    found = search(
        device,
        goals,
        max_pps=LINE,
        min_pps=LEAST,
        max_seconds=3600,
        on_trial=lambda _, progress: result.append((device.clock(), progress)),
        clock=device.clock,
    )
    total = device.clock()
    assert len(result) == len(found.trials)
    assert result[-1][1] == SearchProgress(found.bounds, 0)
    # Within a factor of three of what the search then took.
    assert all(total / 3 <= spent + progress.left_seconds <= 3 * total for spent, progress in result)
    assert all(progress.left_seconds > 0 for _, progress in result[:-1])


def test_the_estimate_never_promises_more_than_the_limit() -> None:
    device = SimulatedDevice(7e6)
    search(
        device,
        (RFC2544,),
        max_pps=LINE,
        min_pps=LEAST,
        max_seconds=100,
        on_trial=lambda _, progress: check(device.clock() + progress.left_seconds <= 100),
        clock=device.clock,
    )


def check(holds: bool) -> None:
    assert holds
