"""iperf3's answers, as version 3.12 gave them, and the frames that it is asked for."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ouchi.clients.iperf import TcpResult, UdpResult, read_answer, read_tcp, read_udp
from ouchi.core.errors import BadInput, Failed
from ouchi.measure.runs.kernel_comparison import udp_payload, udp_result

UDP: dict[str, Any] = {
    "start": {"test_start": {"protocol": "UDP", "num_streams": 1, "blksize": 18, "duration": 1, "reverse": 0}},
    "end": {
        "sum": {"seconds": 1.000925, "bytes": 5785020, "lost_packets": 137763, "packets": 321390, "sender": True},
        "sum_sent": {"seconds": 1.000016, "bytes": 5785020, "lost_packets": 0, "packets": 321390, "sender": True},
        "sum_received": {
            "seconds": 1.000925,
            "bytes": 3280086,
            "bits_per_second": 26216437.795039587,
            "lost_packets": 137763,
            "packets": 319990,
            "sender": False,
        },
    },
}
TCP: dict[str, Any] = {
    "end": {
        "sum_sent": {"seconds": 2.0, "bytes": 250, "bits_per_second": 1000.0, "retransmits": 0},
        "sum_received": {"seconds": 2.5, "bytes": 250, "bits_per_second": 800.0},
    }
}


def test_udp_is_counted_by_the_receiver() -> None:
    found = read_udp(UDP)
    assert found == UdpResult(seconds=1.000925, payload_bytes=18, sent=321390, received=182227, lost=137763)
    # The receiver's bytes say the same.
    assert UDP["end"]["sum_received"]["bytes"] == found.received * 18


def test_udp_in_frames() -> None:
    row = udp_result("64", read_udp(UDP), 64)
    assert row.pps == pytest.approx(182227 / 1.000925)
    assert row.figures["received_bps"] == pytest.approx(182227 / 1.000925 * 64 * 8)
    assert (row.figures["protocol"], row.figures["frame_size"], row.figures["lost"]) == ("udp", 64, 137763)


def test_udp_of_a_version_without_sums_of_each_side() -> None:
    old = copy.deepcopy(UDP)
    del old["end"]["sum_sent"], old["end"]["sum_received"]
    found = read_udp(old)
    assert (found.sent, found.received, found.lost) == (321390, 321390 - 137763, 137763)


def test_frames_of_another_size_are_no_measurement() -> None:
    with pytest.raises(Failed, match="frames of another size") as failed:
        udp_result("62", read_udp(UDP), 62)
    assert failed.value.findings[0].found == "64 bytes"


def test_tcp_is_what_arrived() -> None:
    assert read_tcp(TCP) == TcpResult(2.5, 800.0)


def test_no_time_is_no_rate() -> None:
    none = copy.deepcopy(UDP)
    none["end"]["sum_received"] |= {"seconds": 0, "packets": 0, "lost_packets": 0}
    row = udp_result("64", read_udp(none), 64)
    assert (row.pps, row.figures["received_bps"]) == (None, 0.0)


@pytest.mark.parametrize(("size", "mtu", "payload"), [(64, 1500, 18), (1518, 1500, 1472), (9018, 9000, 8972)])
def test_a_frame_is_payload_and_46_bytes(size: int, mtu: int, payload: int) -> None:
    assert udp_payload(size, mtu) == payload


@pytest.mark.parametrize(("size", "mtu"), [(63, 1500), (1519, 1500), (0, 9000), (9019, 9000)])
def test_no_such_frame(size: int, mtu: int) -> None:
    with pytest.raises(BadInput, match="out of range"):
        udp_payload(size, mtu)


@pytest.mark.parametrize(
    ("stdout", "stderr", "text"),
    [
        (
            '{"start": {}, "error": "unable to connect to server: Connection refused"}',
            "",
            "unable to connect to server: Connection refused",
        ),
        (
            "",
            "iperf3: parameter error - block size invalid (minimum = 16 bytes, maximum = 65507 bytes)\n\nUsage: iperf3 [-s|-c host]\n",
            "iperf3: parameter error - block size invalid (minimum = 16 bytes, maximum = 65507 bytes)",
        ),
        ("", "taskset: failed to set pid 0's affinity: Invalid argument\n", "taskset: failed to set pid 0's affinity"),
        ("{", "", "no output"),
    ],
)
def test_what_went_wrong_is_reported(stdout: str, stderr: str, text: str) -> None:
    with pytest.raises(Failed, match="iperf3 could not measure") as failed:
        read_answer(stdout, stderr)
    assert failed.value.findings[0].found.startswith(text)


def test_an_answer() -> None:
    assert read_answer(json.dumps(UDP), "") == UDP
