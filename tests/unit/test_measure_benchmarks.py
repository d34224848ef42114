"""RFC 2544's other benchmarks, TST 009's verification, the soak and the maximum, on the simulated device."""

import pytest

from ouchi.core.errors import BadInput
from ouchi.measure.runs.model import ExtraResult
from ouchi.measure.search.evidence import INTERRUPTED, Device, Evidence
from ouchi.measure.search.extra_tests import SECONDS, ExtraTest, KnownRates, Subject, run_extra_test
from ouchi.measure.search.methods import SearchMethod
from ouchi.measure.search.rfc2544 import back_to_back, frame_loss, latency
from ouchi.measure.search.trial import Trial
from tests.measured import LINE, Tampered, single_trials
from tests.simulated import SimulatedDevice


def extra(name: str, device: Device, pps: float, seconds: float) -> tuple[ExtraResult, list[Trial]]:
    """The line of a test at one rate, and its trials."""
    trials: list[Trial] = []
    subject = Subject(device, "64", KnownRates(pps, pps, pps), trials.append)
    (row,) = run_extra_test(ExtraTest(name, seconds), subject).rows
    return row, trials


def test_latency_is_the_mean_of_the_repeats_means() -> None:
    device = SimulatedDevice(7e6, ring=1024, stall_seconds=100e-6, stall_period=1.0, latency_ns=5000, streams=2)
    evidence = Evidence(device)
    means = latency(evidence, 2e6, repeats=3, seconds=10)
    assert (len(means), len(evidence.trials), evidence.reason) == (3, 3, "")
    # 0.01 % of the packets wait for half of 100 µs on average.
    assert means == pytest.approx([5005] * 3, abs=1)


def test_latency_is_requested_for_20_times_two_minutes() -> None:
    device = SimulatedDevice(7e6)
    extra("latency", device, 1e6, SECONDS["latency"])
    assert device.clock() == 20 * 120


def test_latency_of_nothing_received_is_none() -> None:
    row, _ = extra("latency", SimulatedDevice(7e6, fault="corrupt"), 1e6, 1)
    assert row.figures["mean_ns"] is None


def test_frame_loss_goes_down_until_two_in_a_row_lose_nothing() -> None:
    points = frame_loss(Evidence(SimulatedDevice(7e6)), 10e6, seconds=1)
    assert [share for share, _ in points] == [1.0, 0.9, 0.8, 0.7, 0.6]
    losses = [trial.loss_ratio for _, trial in points]
    assert losses == pytest.approx([0.3, 2 / 9, 0.125, 0, 0], abs=1e-6)


def test_frame_loss_of_a_fast_device_takes_two_trials_and_of_a_lossy_one_all() -> None:
    assert len(frame_loss(Evidence(SimulatedDevice(1e9)), LINE, seconds=60)) == 2
    assert len(frame_loss(Evidence(SimulatedDevice(1e9, loss=0.01)), LINE, seconds=60)) == 10


def test_the_longest_burst_is_the_ring_and_what_leaves_it_meanwhile() -> None:
    """In a burst of N at the line's rate L the ring of R gains N(1 - C/L): the longest is R / (1 - C/L)."""
    evidence = Evidence(SimulatedDevice(7e6, ring=1024))
    found = back_to_back(evidence, line_pps=LINE, throughput_pps=7e6, seconds=2, repeats=5, width=1e-4)
    longest = 1024 / (1 - 7e6 / LINE)
    assert found.mean == pytest.approx(longest, abs=2)
    assert found.deviation == 0
    # RFC 9004's correction gives back the time in which the line would fill the ring alone.
    assert found.corrected_seconds == pytest.approx(1024 / LINE, rel=1e-3)
    assert not found.unbounded


def test_a_burst_that_always_passes_is_only_a_lower_limit() -> None:
    found = back_to_back(Evidence(SimulatedDevice(1e9)), line_pps=LINE, throughput_pps=7e6, repeats=1, seconds=2)
    assert (found.unbounded, found.bursts) == (True, (29_761_904,))


@pytest.mark.parametrize("rate", [0.0, LINE, 2 * LINE])
def test_without_a_throughput_below_the_line_there_is_no_buffer_to_see(rate: float) -> None:
    with pytest.raises(BadInput, match="cannot be measured"):
        back_to_back(Evidence(SimulatedDevice(7e6)), line_pps=LINE, throughput_pps=rate, seconds=2)


def test_verification_forgives_what_comes_by_chance() -> None:
    """A trial loses a packet by chance in a third of cases: bisection is misled, two more attempts mostly are not."""

    def found(method: SearchMethod) -> float:
        rates = []
        for seed in range(9):
            device = SimulatedDevice(7e6, loss=6e-8, seed=seed)
            rates.append(single_trials(method, device, min_pps=1e5).bounds[0].lower_pps or 0.0)
        return sorted(rates)[4]

    assert found("tst009") == pytest.approx(7e6, rel=0.005)
    assert found("binary") < 6.9e6


def test_verification_repeats_each_lossy_trial_twice() -> None:
    plain, verified = (single_trials(method, SimulatedDevice(7e6), min_pps=1e5) for method in ("binary", "tst009"))
    assert plain.bounds[0].lower_pps == verified.bounds[0].lower_pps
    bad = sum(trial.lost > 0 for trial in plain.trials)
    assert len(verified.trials) == len(plain.trials) + 2 * bad
    bounds = verified.bounds[0]
    assert (bounds.conditional_pps, bounds.reason) == (bounds.lower_pps, "")


def test_a_soak_shows_when_packets_were_lost() -> None:
    device = SimulatedDevice(7e6, stall_seconds=1e-3, stall_period=100.0, seed=1)
    row, trials = extra("soak", device, 1e6, 300)
    assert [trial.label for trial in trials[:3]] == ["from 0 s", "from 10 s", "from 20 s"]
    assert [trial.lost for trial in trials if trial.lost] == [1000, 1000, 1000]
    assert (row.figures["sent"], row.figures["lost"]) == (300_000_000, 3000)


def test_a_soaks_last_interval_is_what_is_left() -> None:
    _, trials = extra("soak", SimulatedDevice(7e6), 1e6, 25)
    assert [trial.intended_seconds for trial in trials] == [10, 10, 5]


def test_an_invalid_interval_of_a_soak_is_in_no_sum() -> None:
    row, _ = extra("soak", SimulatedDevice(7e6, fault="negative", fault_every=4), 1e6, 100)
    assert [row.figures[name] for name in ("intervals", "invalid", "sent", "lost")] == [10, 2, 80_000_000, 0]
    nothing, _ = extra("soak", SimulatedDevice(7e6, fault="negative"), 1e6, 20)
    assert (nothing.figures["sent"], nothing.figures["lost"]) == (0, 0)


def test_the_maximum_is_what_comes_through() -> None:
    row, trials = extra("maximum", SimulatedDevice(7e6), LINE, 1)
    assert (row.pps, len(row.figures["received_pps"]), len(trials)) == (7e6, 10, 10)
    nothing, _ = extra("maximum", SimulatedDevice(7e6, generator_pps=5e6), LINE, 1)
    assert nothing.pps is None


@pytest.mark.parametrize("name", ["latency", "frame-loss", "back-to-back", "soak", "maximum"])
def test_ctrl_c_keeps_the_trials_of_all_of_them(name: str) -> None:
    def interrupt(count: int, trial: Trial) -> Trial:
        if count == 2:
            raise KeyboardInterrupt
        return trial

    kept: list[Trial] = []
    subject = Subject(Tampered(SimulatedDevice(1e6), interrupt), "64", KnownRates(5e5, LINE, LINE), kept.append)
    assert (run_extra_test(ExtraTest(name, SECONDS[name]), subject).reason, len(kept)) == (INTERRUPTED, 1)


def test_the_simulation_is_the_same_each_time_for_a_seed() -> None:
    def run(seed: int) -> list[int]:
        device = SimulatedDevice(7e6, ring=64, stall_seconds=1e-4, stalls_per_second=1, loss=1e-6, seed=seed)
        return [device.trial(5e6, 1.0).lost for _ in range(20)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_gaps_add_up_to_what_the_ring_lost() -> None:
    device = SimulatedDevice(7e6, ring=100, stall_seconds=1e-3, stall_period=1e-2, streams=2)
    for pps in (1e6, 1e7, 2e7):
        for stream in device.trial(pps, 1.0).streams:
            assert stream.lost == sum(gap.packets for gap in stream.gaps)
            assert [gap.begin_s for gap in stream.gaps] == sorted(gap.begin_s for gap in stream.gaps)
