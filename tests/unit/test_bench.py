"""What a run says beside its searches, and what the command line makes of its words."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ouchi.cli import main
from ouchi.cli.bench import GOALS, GUESTS, TESTS
from ouchi.cli.benching import Asked
from ouchi.core.errors import BadInput, Failed
from ouchi.measure.paths.cpus import Cpus
from ouchi.measure.paths.open import Setup
from ouchi.measure.paths.path import PATHS
from ouchi.measure.runs.beside_kernel import compared, kernel_wish
from ouchi.measure.runs.fixed import fixed_row
from ouchi.measure.runs.lines import most_of, proof, taken
from ouchi.measure.runs.model import Result
from ouchi.measure.search.further import SECONDS
from ouchi.measure.search.goals import NDR, Bounds
from ouchi.measure.search.simulated import SimulatedDevice
from ouchi.measure.search.standing import trial_text
from ouchi.measure.search.trial import Trial
from ouchi.measure.search.validity import judged
from ouchi.plan import make_plan
from tests.plans import facts_of, site_with


def trial(pps: float = 1e6, **changes: int) -> Trial:
    made = SimulatedDevice(1e9).trial(pps, 1.0)
    return judged(replace(made, streams=(replace(made.streams[0], **changes),)))


def test_a_generator_without_fault_is_proved() -> None:
    row = proof("64", 2e6, trial())
    assert (row.pps, row.figures["lost"], row.figures["valid"]) == (2e6, 0, True)
    assert row.said.startswith("0 of 1,000,000 frames falsely lost")


@pytest.mark.parametrize("fault", [{"received": 999_999}, {"reordered": 1}, {"duplicated": 1, "received": 1_000_001}])
def test_a_generator_with_a_fault_proves_nothing_and_is_said(fault: dict[str, int]) -> None:
    with pytest.raises(Failed, match="finds fault"):
        proof("64", 2e6, trial(**fault))


def test_what_could_not_be_proved_is_no_proof() -> None:
    row = proof("64", 2e6, trial(corrupt=1))
    assert row.said.startswith("no proof: ")


APART = Cpus(0, (2, 3), (4,))


@pytest.mark.parametrize(
    ("busy", "line", "setup", "limit"),
    [
        (0.97, None, Setup(PATHS["v2v"], APART), "OVS is the limit"),
        (0.6, None, Setup(PATHS["v2v"], APART), "the generator is the limit"),
        (0.6, None, Setup(PATHS["pvp"], APART), "the generator or a guest is the limit"),
        (0.97, 1.01e6, Setup(PATHS["p2p"], APART), "the wire is the limit"),
        (0.97, None, Setup(PATHS["pvp"], Cpus(0, (1,), (1,))), "too few CPUs"),
    ],
)
def test_whose_limit_it_was_is_said(busy: float, line: float | None, setup: Setup, limit: str) -> None:
    seen = replace(trial(), counters={"ovs": {"pmd": {"pmd 2": {"busy": 0.1}, "pmd 3": {"busy": busy}}}})
    row = taken("64", [seen], line, setup)
    assert limit in row.said
    assert row.figures["busy"] == busy
    assert row.pps == pytest.approx(1e6)
    assert taken("64", [trial(2e6, received=500_000)], None, setup).said == "came through of 2.00 Mpps sent"


def test_the_most_is_the_median_and_nothing_when_a_port_is_dead() -> None:
    assert most_of([trial(1e6), trial(3e6), trial(2e6)]) == pytest.approx(2e6)
    assert most_of([trial(1e6), trial(1e6, sent=0, received=0)]) == 0


def found(size: str, lower: float | None, upper: float | None = None) -> Result:
    return Result(size, 1, (Bounds(NDR, lower, upper, lower),))


def test_a_ratio_is_made_of_equal_frames_and_goals_only() -> None:
    plan = make_plan(site_with(), facts_of("vm-8-cpus"))
    ours = [found("64", 10e6, 10.01e6), found("64", 10e6), found("64", None), found("1518", 4e6, 4.001e6)]
    theirs = [found("64", 1e6), found("1518", None)]
    first, second = compared(ours, theirs, Setup(PATHS["v2v"], APART), plan)
    assert (first.pps, first.figures["ratio"]) == (1e6, 10.0)
    found_in = (
        "medians of the rates found in 2 of 3 searches (1 left a bound open) and 1 of 1 searches (1 left a bound open)"
    )
    assert f"10.0 times as much, {found_in}" in first.said
    assert "beside the generator's 2" in first.said
    assert "no ratio" in second.said
    assert not second.figures


def asked(**words: object) -> Asked:
    usual: dict[str, object] = {
        "path": "v2v", "sizes": ("64",), "goals": ("ndr",), "also": (), "guest": "testpmd", "wires": (), "flows": 1,
        "repeats": 3, "both": True, "most_seconds": 60.0, "kernel": False, "rates": (), "seconds": 10.0,
    }  # fmt: skip
    return Asked(**{**usual, **words})  # type: ignore[arg-type]


def test_words_become_a_wish() -> None:
    wish = asked(
        path="pvp", sizes=("64", "64", "imix"), goals=("ndr", "0.1%"), also=("soak:30", "maximum"), guest="vm"
    ).wish()
    assert wish.sizes == ("64", "imix")
    assert [goal.name for goal in wish.goals] == ["NDR", "PDR 0.1 %"]
    assert [str(test) for test in wish.also] == ["soak:30", "maximum:1"]
    assert wish.guest == "vm"
    assert json.dumps(wish.to_json())


def test_the_kernel_is_measured_with_the_same_words() -> None:
    wish = asked(kernel=True, sizes=("64", "1518"), also=("maximum",)).wish()
    other = kernel_wish(wish)
    assert (other.sizes, other.goals, other.flows, other.path.carrier) == (wish.sizes, wish.goals, 1, "kernel")
    assert not other.also
    assert not other.kernel


@pytest.mark.parametrize("words", [{"sizes": ("9001",)}, {"sizes": ("63",)}, {"kernel": True, "path": "pvp"}])
def test_what_cannot_be_measured_is_refused(words: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        asked(**words).wish()


def test_the_command_names_what_there_is() -> None:
    assert set(TESTS) == set(SECONDS)
    assert GUESTS == ("testpmd", "vm")
    assert GOALS[:2] == ("ndr", "pdr")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--goal", "0.1%"], 0), (["--goal", "100%"], 2), (["--goal", "ndx"], 2), (["--goal", "%"], 2),
        (["--also", "soak:600"], 0), (["--also", "soak:"], 2), (["--also", "soak:0"], 2), (["--also", "nap"], 2),
        (["--also", "soak:-1"], 2), (["--path", "p2p"], 2), (["--path", "p2p", "--wire", "net_ring0", "net_ring1"], 0),
        (["--wire", "net_ring0", "net_ring1"], 2), (["--guest", "ghost"], 2), (["--size", "9000"], 0),
        (["--rate", "330kpps", "--rate", "3GbpsL1", "--seconds", "2"], 0), (["--rate", "0pps"], 2),
        (["--rate", "1Mpps", "--also", "soak"], 2), (["--rate", "1Mpps", "--goal", "ndr", "--also", "soak"], 0),
        (["--rate", "1Mpps", "--beside-kernel"], 2), (["--rate", "1Mpps", "--also", "maximum"], 0),
        (["--rate", "45%"], 2), (["--rate", "-1pps"], 2), (["--rate", "2Gpps"], 2), (["--seconds", "0"], 2),
        (["--beside-kernel"], 0), (["--beside-kernel", "--path", "loop"], 2),
    ],
)  # fmt: skip
def test_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ouchi", "bench", "--dry-run", *words])
    assert main() == status
    assert bool(capsys.readouterr().out) == (status == 0)


def test_a_rate_is_said_with_all_that_became_of_it() -> None:
    row = fixed_row("64", "1Mpps", [trial(), trial(received=999_000, refused=5), trial(corrupt=1)])
    assert row.what == "at 1Mpps"
    assert row.said.startswith("1,000 of 3,000,000 lost, 5 refused; latency 50 % 10.0 µs, 99 %")
    assert "1 of 3 trials are not valid" in row.said
    assert row.pps == pytest.approx(1e6)


def test_a_trial_is_said_with_its_reserve() -> None:
    assert trial_text(trial()) == "1.000 Mpps for 1 s: 0 of 1,000,000 lost"
    assert "900 refused" in trial_text(trial(refused=900))
    assert "invalid: " in trial_text(trial(corrupt=1))
