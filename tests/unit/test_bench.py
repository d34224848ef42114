"""What a run says beside its searches, and what the command line makes of its words."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from ouchi.cli import main
from ouchi.cli.bench import GOALS, GUESTS, METHODS, PATHS, TESTS
from ouchi.core.errors import BadInput, Failed
from ouchi.measure.generator.template import UDP_IPV4, HeaderTemplate
from ouchi.measure.paths.cpus import Placement
from ouchi.measure.paths.path import PATHS as ALL_PATHS
from ouchi.measure.paths.path import GuestKind
from ouchi.measure.request import BenchRequest, check_request
from ouchi.measure.runs.extras import fixed_rate_result, max_offered_result, median_sent_pps, self_test_result
from ouchi.measure.runs.kernel_comparison import compare_results
from ouchi.measure.runs.model import Result
from ouchi.measure.search.extra_tests import SECONDS, ExtraTest
from ouchi.measure.search.goals import NAMED_GOALS, NDR, Bounds
from ouchi.measure.search.methods import SearchMethod
from ouchi.measure.search.trial import Trial
from ouchi.measure.search.validity import assess
from ouchi.plan import make_plan
from ouchi.report.run.progress import trial_text
from tests.plans import facts_of, site_with
from tests.simulated import SimulatedDevice


def trial(pps: float = 1e6, **changes: int) -> Trial:
    made = SimulatedDevice(1e9).trial(pps, 1.0)
    return assess(replace(made, streams=(replace(made.streams[0], **changes),)))


def test_a_generator_without_fault_is_proved() -> None:
    row = self_test_result("64", 2e6, trial())
    assert (row.pps, row.figures["lost"], row.figures["valid"]) == (2e6, 0, True)
    assert row.text.startswith("0 of 1,000,000 frames lost")


@pytest.mark.parametrize("fault", [{"received": 999_999}, {"reordered": 1}, {"duplicated": 1, "received": 1_000_001}])
def test_a_generator_with_a_fault_proves_nothing_and_is_reported(fault: dict[str, int]) -> None:
    with pytest.raises(Failed, match="self-test"):
        self_test_result("64", 2e6, trial(**fault))


def test_what_could_not_be_proved_is_no_proof() -> None:
    row = self_test_result("64", 2e6, trial(corrupt=1))
    assert row.text.startswith("inconclusive: ")


APART, TOGETHER = Placement(0, (2, 3), (4,)), Placement(0, (1,), (1,))


@pytest.mark.parametrize(
    ("busy", "line", "path", "placement", "bottleneck"),
    [
        (0.97, None, "v2v", APART, "OVS is the bottleneck"),
        (0.6, None, "v2v", APART, "the generator is the bottleneck"),
        (0.6, None, "pvp", APART, "the generator or a guest is the bottleneck"),
        (0.97, 1.01e6, "p2p", APART, "the wire is the bottleneck"),
        (0.97, None, "pvp", TOGETHER, "share CPUs"),
    ],
)
def test_the_bottleneck_is_named(
    busy: float, line: float | None, path: str, placement: Placement, bottleneck: str
) -> None:
    request = BenchRequest(path_name=path)
    seen = replace(trial(), counters={"ovs": {"pmd": {"pmd_2": {"busy": 0.1}, "pmd_3": {"busy": busy}}}})
    row = max_offered_result("64", [seen], line_pps=line, request=request, placement=placement)
    assert bottleneck in row.text
    assert row.figures["busy"] == busy
    assert row.pps == pytest.approx(1e6)
    plain = max_offered_result(
        "64", [trial(2e6, received=500_000)], line_pps=None, request=request, placement=placement
    )
    assert plain.text == "received of 2.00 Mpps sent"


def test_the_most_is_the_median_and_nothing_when_a_port_is_dead() -> None:
    assert median_sent_pps([trial(1e6), trial(3e6), trial(2e6)]) == pytest.approx(2e6)
    assert median_sent_pps([trial(1e6), trial(1e6, sent=0, received=0)]) == 0


def found(size: str, lower: float | None, upper: float | None = None) -> Result:
    return Result(size, 1, (Bounds(NDR, lower, upper, lower),))


def test_a_ratio_is_made_of_equal_frames_and_goals_only() -> None:
    plan = make_plan(site_with(), facts_of("vm-8-cpus"))
    ours = [found("64", 10e6, 10.01e6), found("64", 10e6), found("64", None), found("1518", 4e6, 4.001e6)]
    theirs = [found("64", 1e6), found("1518", None)]
    first, second = compare_results(ours, theirs, APART, plan)
    assert (first.pps, first.figures["ratio"]) == (1e6, 10.0)
    found_in = "medians of the rates found in 2 of 3 searches (1 with an open bound) and 1 of 1 searches (1 with an open bound)"
    assert f"10.0 times as much, {found_in}" in first.text
    assert "besides the generator's 2" in first.text
    assert "no ratio" in second.text
    assert not second.figures


def test_options_become_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[BenchRequest] = []
    monkeypatch.setattr(
        "ouchi.flows.bench.read_bench_target", lambda _machine, _site, request: requests.append(request)
    )
    monkeypatch.setattr("ouchi.flows.bench.preview", lambda *_, **__: {})
    words = "--path pvp --size 64 --size 64 --size imix --goal ndr --goal 0.1% --also soak:30 --also maximum --guest vm"
    monkeypatch.setattr(sys, "argv", ["ouchi", "bench", "--dry-run", *words.split(), "--search", "tst009", "--one-way"])
    assert main() == 0
    (request,) = requests
    assert request.sizes == ("64", "imix")
    assert [goal.name for goal in request.goals] == ["NDR", "PDR 0.1 %"]
    assert [str(test) for test in request.extra_tests] == ["soak:30", "maximum:1"]
    assert (request.guest, request.method, len(request.directions)) == ("vm", "tst009", 1)
    assert json.dumps(request.to_json())


def test_the_kernel_is_measured_with_the_same_request() -> None:
    request = BenchRequest(
        compare_kernel=True, sizes=("64", "1518"), goals=(NDR,), extra_tests=(ExtraTest("maximum", 1),)
    )
    other = request.on_kernel()
    assert (other.sizes, other.goals, other.flows, other.path.kind) == (request.sizes, request.goals, 1, "kernel")
    assert not other.extra_tests
    assert not other.compare_kernel


@pytest.mark.parametrize(
    "request_",
    [
        BenchRequest(sizes=("9001",)),
        BenchRequest(sizes=("63",)),
        BenchRequest(compare_kernel=True, path_name="pvp"),
        BenchRequest(path_name="pvp", guest="vm", template=HeaderTemplate((replace(UDP_IPV4, vlans=(7,)),) * 2)),
    ],
)
def test_what_cannot_be_measured_is_refused(request_: BenchRequest) -> None:
    with pytest.raises(BadInput):
        check_request(request_)


def test_the_command_names_what_there_is() -> None:
    assert set(TESTS) == set(SECONDS)
    assert set(GOALS) == set(NAMED_GOALS)
    assert set(PATHS) == set(ALL_PATHS)
    assert get_args(GuestKind) == GUESTS
    assert get_args(SearchMethod) == METHODS


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
        (["--beside-kernel"], 0), (["--beside-kernel", "--path", "loop"], 2), (["--search", "binary"], 0), (["--search", "x"], 2),
    ],
)  # fmt: skip
def test_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ouchi", "bench", "--dry-run", *words])
    assert main() == status
    assert bool(capsys.readouterr().out) == (status == 0)


def test_a_rate_is_reported_with_all_that_became_of_it() -> None:
    row = fixed_rate_result("64", "1Mpps", [trial(), trial(received=999_000, tx_backpressure=5), trial(corrupt=1)])
    assert row.name == "at 1Mpps"
    assert row.text.startswith("1,000 of 3,000,000 lost, 5 TX backpressure; latency 50 % 10.0 µs, 99 %")
    assert "1 of 3 trials are not valid" in row.text
    assert row.pps == pytest.approx(1e6)


def test_a_trial_is_reported_with_its_reserve() -> None:
    assert trial_text(trial()) == "1.000 Mpps for 1 s: 0 of 1,000,000 lost"
    assert "900 TX backpressure" in trial_text(trial(tx_backpressure=900))
    assert "invalid: " in trial_text(trial(corrupt=1))
