"""Rates and mixes of sizes against figures worked out elsewhere, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import BadInput
from ouchi.measure.generator.imix import genome
from ouchi.measure.generator.rates import l1_bits, l2_bits, line_rate, parse_rate

TEN_GIGABIT = 10_000_000_000

# Frames a second on 10 gigabit Ethernet: IEEE 802.3 arithmetic as published, to the hundredth.
LINE_RATES = {
    64: 14_880_952.38,
    68: 14_204_545.45,
    128: 8_445_945.95,
    256: 4_528_985.51,
    512: 2_349_624.06,
    768: 1_586_294.42,
    1024: 1_197_318.01,
    1280: 961_538.46,
    1518: 812_743.82,
    9000: 138_580.93,
}


@pytest.mark.parametrize(("size", "pps"), LINE_RATES.items())
def test_line_rate_of_ten_gigabit(size: int, pps: float) -> None:
    assert line_rate(TEN_GIGABIT, size) == pytest.approx(pps, abs=0.005)


def test_line_rate_grows_with_the_line() -> None:
    assert line_rate(1_000_000_000, 64) == pytest.approx(1_488_095.24, abs=0.005)
    assert line_rate(25_000_000_000, 64) == pytest.approx(37_202_380.95, abs=0.005)


def test_seven_million_frames_are_half_a_line_by_two_measures() -> None:
    assert l2_bits(7e6, 64) == 3.584e9
    assert l1_bits(7e6, 64) == 4.704e9


@pytest.mark.parametrize(
    ("text", "size", "line", "pps"),
    [
        ("14.88Mpps", 64, TEN_GIGABIT, 14_880_000),
        ("500kpps", 64, None, 500_000),
        ("1pps", 64, None, 1),
        (" 2.5 mpps ", 64, None, 2_500_000),
        ("1MPPS", 64, None, 1_000_000),
        ("0.001Gpps", 64, None, 1_000_000),
        (".5kpps", 64, None, 500),
        ("3.584Gbps", 64, TEN_GIGABIT, 7_000_000),
        ("3.584GbpsL2", 64, None, 7_000_000),
        ("4.704GbpsL1", 64, TEN_GIGABIT, 7_000_000),
        ("4704mbpsl1", 64, None, 7_000_000),
        ("512bps", 64, None, 1),
        ("45%", 64, TEN_GIGABIT, 6_696_428.571),
        ("100%", 64, TEN_GIGABIT, 14_880_952.381),
        ("10GbpsL1", 353.8333333, TEN_GIGABIT, 10e9 / (373.8333333 * 8)),
    ],
)
def test_rates_as_users_write_them(text: str, size: float, line: int | None, pps: float) -> None:
    assert parse_rate(text, size, line) == pytest.approx(pps, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("0pps", None, "the rate is zero"),
        ("0%", TEN_GIGABIT, "the rate is zero"),
        ("0.0Gbps", None, "the rate is zero"),
        ("-1pps", None, "not a rate"),
        ("-5%", TEN_GIGABIT, "not a rate"),
        ("14.89Mpps", TEN_GIGABIT, "exceeds line rate"),
        ("101%", TEN_GIGABIT, "exceeds line rate"),
        ("10Gbps", TEN_GIGABIT, "exceeds line rate"),  # with preamble and gap it is 13.1
        ("10.01GbpsL1", TEN_GIGABIT, "exceeds line rate"),
        ("45%", None, "no line rate"),
        ("", None, "not a rate"),
        ("fast", None, "not a rate"),
        ("14880952", None, "not a rate"),
        ("1,5Mpps", None, "not a rate"),
        ("1e6pps", None, "not a rate"),
        ("nanpps", None, "not a rate"),
        ("infMpps", None, "not a rate"),
        ("1.2.3pps", None, "not a rate"),
        ("5Mpps 5Mpps", None, "not a rate"),
        ("5Mppsl1", None, "not a rate"),
        ("5%pps", TEN_GIGABIT, "not a rate"),
        ("5GB/s", None, "not a rate"),
        ("1001Mpps", None, "the rate is out of range"),
        ("9" * 400 + "pps", None, "the rate is out of range"),
        ("9" * 400 + "pps", TEN_GIGABIT, "exceeds line rate"),
    ],
)
def test_what_is_no_rate_is_refused(text: str, line: int | None, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        parse_rate(text, 64, line, where="--rate")
    (finding,) = caught.value.findings
    assert finding.where == "--rate"
    assert finding.expected
    assert len(str(finding)) < 600


def test_a_rate_does_not_exceed_the_line_by_its_last_digit() -> None:
    assert parse_rate("100.00000001%", 64, TEN_GIGABIT) == line_rate(TEN_GIGABIT, 64)


@given(st.text(max_size=20), st.sampled_from([None, TEN_GIGABIT]))
def test_any_text_is_a_rate_or_bad_input(text: str, line: int | None) -> None:
    try:
        pps = parse_rate(text, 64, line)
    except BadInput:
        return
    assert 0 < pps < math.inf
    assert line is None or pps <= line_rate(line, 64)


@given(st.integers(64, 9000), st.integers(1, 100_000), st.sampled_from([10**9, 10**10, 10**11]))
def test_percent_and_bits_name_the_same_rate(size: int, thousandths: int, line: int) -> None:
    by_percent = parse_rate(f"{thousandths / 1000:.3f}%", size, line)
    by_bits = parse_rate(f"{line // 100_000 * thousandths}bpsL1", size, line)
    assert by_percent == pytest.approx(by_bits, rel=1e-9)
    assert by_percent <= line_rate(line, size)


@pytest.mark.parametrize(
    ("text", "mean", "shares"),
    [
        ("imix", 361.83, {64: 7, 594: 4, 1518: 1}),
        ("IMIX-CSIT", 353.83, {64: 7, 570: 4, 1518: 1}),
        ("imix-vsperf", 334.5, {64: 7, 512: 4, 1518: 1}),
        ("aaaaaaaddddg", 334.5, {64: 7, 512: 4, 1518: 1}),
        ("abcdefghi", 1766, dict.fromkeys((64, 128, 256, 512, 1024, 1280, 1518, 2112, 9000), 1)),
        ("1518", 1518, {1518: 1}),
        ("0064", 64, {64: 1}),
    ],
)
def test_mixes_by_name_and_by_letters(text: str, mean: float, shares: dict[int, int]) -> None:
    sizes = genome(text)
    assert sum(sizes) / len(sizes) == pytest.approx(mean, abs=0.005)
    assert {size: sizes.count(size) for size in sizes} == shares


def test_a_genome_keeps_its_order() -> None:
    assert genome("gab") == (1518, 64, 128)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "63",
        "10",
        "0",
        "9001",
        "70000",
        "9" * 5000,
        "-64",
        "64.5",
        "aaz",
        "j",
        "ABC",
        "imix2",
        "a" * 1001,
        "²²²",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        genome(text, where="--size")
    (finding,) = caught.value.findings
    assert finding.where == "--size"
    assert finding.found
    assert len(str(finding)) < 600
