"""Each rule of validity: a trial just inside of it and one just outside."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.measure.search.goals import NDR, PDR, judged_loss, partial_drop_goal, verdict
from ouchi.measure.search.trial import Histogram, Stalls, StreamResult, Trial
from ouchi.measure.search.validity import assess
from tests.simulated import SimulatedDevice

Change = Callable[[Trial], Trial]


def invalid(trial: Trial, **limits: Any) -> tuple[str, ...]:
    return assess(trial, **limits).remarks


def sound(streams: int = 1, seconds: float = 10.0, packets: int = 1_000_000) -> Trial:
    """``packets`` by each stream, all received."""
    results = tuple(
        StreamResult(
            f"s{i}", f"p{i}", f"p{i + 1}", 64.0, packets, packets, packets, packets, 0, 0, 0, Histogram(1.0), 0.0
        )
        for i in range(streams)
    )
    pps = packets * streams / seconds
    return Trial(1, "", pps, seconds, seconds, results, Stalls(0.0, 0, 10.0), 0, (), {}, "")


def stream(**changes: Any) -> Change:
    return lambda trial: replace(trial, streams=(replace(trial.streams[0], **changes), *trial.streams[1:]))


def sent(packets: int) -> Change:
    """All that were handed over were sent and came back."""
    return stream(attempted=packets, sent=packets, received=packets)


def taking(seconds: float) -> Change:
    """Sending took another time, at the rate asked for."""

    def change(trial: Trial) -> Trial:
        packets = round(trial.intended_pps * seconds)
        return replace(
            stream(intended=packets, attempted=packets, sent=packets, received=packets)(trial), seconds=seconds
        )

    return change


EDGES: list[tuple[str, str, Change, Change]] = [
    ("received", "more packets received than sent", stream(received=1_000_000), stream(received=1_000_001)),
    (
        "duplicates",
        "more packets received",
        stream(received=1_000_009, duplicated=9),
        stream(received=1_000_009, duplicated=8),
    ),
    ("longer", "sending took", taking(10.0509), taking(10.0511)),
    ("shorter", "sending took", taking(9.9491), taking(9.9489)),
    ("unsent", "were not sent", stream(sent=998_968, received=998_968), stream(sent=998_967, received=998_967)),
    ("slow", "the generator reached", sent(998_968), sent(998_967)),
    ("fast", "the generator reached", sent(1_001_032), sent(1_001_033)),
    (
        "stall",
        "the generator stalled",
        lambda trial: replace(stream(received=999_999)(trial), stalls=Stalls(10_240.0, 1, 10.0)),
        lambda trial: replace(stream(received=999_999)(trial), stalls=Stalls(10_241.0, 1, 10.0)),
    ),
    (
        "foreign",
        "foreign frames",
        lambda trial: replace(trial, foreign=1100),
        lambda trial: replace(trial, foreign=1101),
    ),
    ("corrupt", "corrupt signature", stream(corrupt=0), stream(corrupt=1)),
]


@pytest.mark.parametrize(("text", "inside", "outside"), [edge[1:] for edge in EDGES], ids=[edge[0] for edge in EDGES])
def test_each_rule_at_its_edge(text: str, inside: Change, outside: Change) -> None:
    assert invalid(inside(sound())) == ()
    found = invalid(outside(sound()))
    assert any(text in problem for problem in found), found


def test_loss_alone_is_no_reason() -> None:
    assert invalid(stream(received=0)(sound())) == ()


def test_line_rate_is_counted_with_preamble_and_gap() -> None:
    # 14,880,952.38 pps of 64 bytes fill 10 Gbit/s; 100 ppm of the clock and a burst of 32 packets are allowed.
    full = sound(seconds=10.0, packets=148_809_523)
    fastest = int(148_809_523.8 * (1 + 100e-6)) + 32
    assert invalid(full, line_bits=10e9) == ()
    assert invalid(sent(fastest)(full), line_bits=10e9) == ()
    (problem,) = invalid(sent(fastest + 1)(full), line_bits=10e9)
    assert "on a line of 10,000,000,000 bit/s" in problem


def test_without_a_line_there_is_no_line_rate() -> None:
    assert invalid(sound(seconds=1.0, packets=100_000_000)) == ()


def test_streams_of_one_port_share_its_line() -> None:
    two = sound(streams=2, packets=80_000_000)
    shared = replace(two, streams=tuple(replace(each, tx_port="p0") for each in two.streams))
    assert invalid(two, line_bits=10e9) == ()
    assert len(invalid(shared, line_bits=10e9)) == 1


def test_each_direction_is_judged_by_itself() -> None:
    two = sound(streams=2)
    swapped = replace(
        two, streams=(replace(two.streams[0], received=1_000_005), replace(two.streams[1], received=999_995))
    )
    assert swapped.lost == 0
    assert invalid(swapped) == ("s0: 5 more packets received than sent",)


def stalled(trial: Trial, lost: int) -> Trial:
    """The generator was away for a millisecond, and so many packets of each stream were lost."""
    streams = tuple(replace(each, received=each.sent - lost) for each in trial.streams)
    return replace(trial, streams=streams, stalls=Stalls(1000.0, 1, 10.0))


def test_a_stall_is_worse_at_a_higher_rate_of_a_stream() -> None:
    assert invalid(stalled(sound(packets=10_000_000), 1)) == ()
    assert invalid(stalled(sound(packets=20_000_000), 1)) != ()
    assert invalid(stalled(sound(packets=20_000_000), 1), ring=2048) == ()
    assert invalid(stalled(sound(streams=2, packets=10_000_000), 1)) == ()


def test_a_stall_in_which_nothing_was_lost_did_no_harm() -> None:
    assert invalid(stalled(sound(packets=20_000_000), 0)) == ()


def test_nothing_sent_is_a_problem_even_where_little_was_expected() -> None:
    assert any("none of 10 packets" in problem for problem in invalid(sent(0)(sound(packets=10))))


def test_a_burst_of_few_packets_can_be_valid() -> None:
    burst = sound(seconds=64 / 14_880_952, packets=64)
    assert invalid(replace(burst, seconds=burst.seconds * 1.2), line_bits=10e9) == ()


def test_all_problems_are_reported_at_once() -> None:
    assert len(invalid(stream(corrupt=1, sent=1, received=2)(replace(sound(), foreign=10**6, seconds=20.0)))) == 6


@pytest.mark.parametrize("fault", ["negative", "stretched", "stalled", "unsent", "corrupt", "foreign"])
def test_each_fault_of_the_simulation_is_caught(fault: Any) -> None:
    assert SimulatedDevice(1e6).trial(5e5, 1.0).valid
    assert not SimulatedDevice(1e6, fault=fault).trial(5e5, 1.0).valid


@given(st.floats(1e3, 2e7), st.floats(0.1, 60), st.integers(1, 2))
def test_a_sound_device_is_never_blamed(pps: float, seconds: float, streams: int) -> None:
    device = SimulatedDevice(5e6, ring=512, loss=1e-4, streams=streams)
    assert device.trial(pps, seconds).invalid == ()


def test_a_suspicion_is_as_many_packets_as_a_ring_could_not_hold_meanwhile() -> None:
    """At 2 Mpps a stall of 1 ms brings 2000 packets, of which 1024 find room."""
    one = assess(stalled(sound(packets=20_000_000), 900))
    assert (one.streams[0].rx_overrun_suspect, one.streams[0].certain_failed_ratio) == (900, 0.0)
    other = assess(stalled(sound(packets=20_000_000), 2000))
    assert other.streams[0].rx_overrun_suspect == 976
    assert other.streams[0].certain_failed_ratio == pytest.approx(1024 / 20_000_000)
    assert not other.valid
    assert not other.invalid


def test_too_little_is_a_under_offer_and_too_much_a_problem() -> None:
    for change in (sent(998_000), taking(10.2), stream(sent=990_000, received=990_000)):
        assert assess(change(sound())).under_offered
        assert not assess(change(sound())).invalid
    for change in (sent(1_002_000), taking(9.8), sent(0)):
        assert assess(change(sound())).invalid


def test_what_a_full_ring_refused_is_no_fault_of_the_generator() -> None:
    """It counts against the rate, as loss does, and makes nothing invalid."""
    tx_backpressure = stream(attempted=990_000, sent=990_000, received=990_000, tx_backpressure=10_000)(sound())
    trial = assess(tx_backpressure)
    assert trial.valid
    assert (trial.lost, trial.unsent, trial.tx_backpressure) == (0, 10_000, 10_000)
    assert judged_loss(trial) == pytest.approx(0.01)
    assert (verdict(NDR, trial), verdict(partial_drop_goal(0.02), trial)) == (False, True)


def test_a_trial_counts_as_far_as_its_faults_make_no_difference() -> None:
    rx_overrun_suspect = assess(stalled(sound(packets=20_000_000), 900))
    assert (verdict(NDR, rx_overrun_suspect), verdict(PDR, rx_overrun_suspect)) == (None, True)
    lossy = assess(stalled(sound(packets=20_000_000), 2000))
    assert (verdict(NDR, lossy), verdict(PDR, lossy)) == (False, True)
    little = assess(stream(attempted=900_000, sent=900_000, received=900_000)(sound()))
    assert (verdict(NDR, little), verdict(PDR, little)) == (None, None)
    little_and_lost = assess(stream(attempted=900_000, sent=900_000, received=899_000)(sound()))
    assert (verdict(NDR, little_and_lost), verdict(PDR, little_and_lost)) == (False, None)
    assert verdict(NDR, assess(stream(corrupt=1, received=0)(sound()))) is None
