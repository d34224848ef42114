"""What is measured beside the searches, on a simulated device of which the answers are known."""

import pytest

from ouchi.measure.runs.model import ExtraResult
from ouchi.measure.search.evidence import INTERRUPTED
from ouchi.measure.search.extra_tests import SECONDS, ExtraTest, KnownRates, Subject, run_extra_test
from ouchi.measure.search.trial import Trial
from tests.simulated import SimulatedDevice

KNOWN = KnownRates(found=6.9e6, maximum=10e6, burst=14_880_952.0)


def rows(
    name: str, device: SimulatedDevice, known: KnownRates = KNOWN, seconds: float | None = None
) -> list[ExtraResult]:
    kept: list[Trial] = []
    found = list(
        run_extra_test(ExtraTest(name, seconds or SECONDS[name]), Subject(device, "64", known, kept.append)).rows
    )
    assert kept or known.found is None
    assert all(row.size == "64" for row in found)
    return found


def test_frame_loss_goes_down_until_two_rates_lose_nothing() -> None:
    found = rows("frame-loss", SimulatedDevice(7e6, ring=1024))
    assert [row.figures["share"] for row in found] == [1.0, 0.9, 0.8, 0.7, 0.6]
    assert found[0].pps == 10e6
    assert found[0].figures["lost"] / found[0].figures["sent"] == pytest.approx(0.3, rel=0.01)
    assert found[-1].figures["lost"] == 0


def test_back_to_back_finds_the_buffer() -> None:
    (row,) = rows("back-to-back", SimulatedDevice(7e6, ring=1024))
    assert row.figures["mean"] == pytest.approx(1024 / (1 - 7e6 / KNOWN.burst), rel=0.02)
    assert row.figures["corrected_seconds"] == pytest.approx(1024 / KNOWN.burst, rel=0.05)
    assert "frames in a burst" in row.text


def test_a_path_that_keeps_up_shows_no_buffer() -> None:
    known = KnownRates(5e6, 5e6, 5e6)
    (row,) = run_extra_test(
        ExtraTest("back-to-back", 2), Subject(SimulatedDevice(7e6), "64", known, lambda _: None)
    ).rows
    assert "without buffering" in row.text


def test_soak_counts_every_interval() -> None:
    (row,) = rows("soak", SimulatedDevice(7e6, ring=512, stall_seconds=300e-6, stall_period=20.0), seconds=60)
    assert (row.figures["intervals"], row.figures["invalid"]) == (6, 0)
    assert row.figures["sent"] == 6.9e6 * 60
    assert row.figures["lost"] > 0


def test_latency_is_the_mean_of_the_trials_means() -> None:
    (row,) = rows("latency", SimulatedDevice(7e6, latency_ns=12_500), seconds=1)
    assert row.figures["mean_ns"] == 12_500
    assert row.figures["trials"] == 20


def test_the_most_received_is_the_capacity() -> None:
    (row,) = rows("maximum", SimulatedDevice(7e6))
    assert row.pps == pytest.approx(7e6, rel=0.001)


@pytest.mark.parametrize("name", ["latency", "back-to-back", "soak"])
def test_without_a_rate_there_is_nothing_to_measure_it_at(name: str) -> None:
    (row,) = rows(name, SimulatedDevice(7e6), KnownRates(None, 10e6, 10e6))
    assert row.pps is None
    assert "not measured" in row.text


def test_what_ends_early_states_why() -> None:
    found = rows("frame-loss", SimulatedDevice(7e6, fault="corrupt"), seconds=1)
    assert "ended early" in found[-1].text
    (soaked,) = rows("soak", SimulatedDevice(7e6, fault="corrupt"), seconds=10)
    assert soaked.figures["invalid"] == 1


@pytest.mark.parametrize("name", ["latency", "frame-loss", "back-to-back", "soak", "maximum"])
def test_ctrl_c_ends_a_test_and_states_so(name: str) -> None:
    def stopped(_: Trial) -> None:
        raise KeyboardInterrupt

    result = run_extra_test(ExtraTest(name, 1.0), Subject(SimulatedDevice(7e6), "64", KNOWN, stopped))
    assert result.reason == INTERRUPTED
    assert INTERRUPTED in result.rows[-1].text
