"""``ouchi metrics`` and ``ouchi top``: every figure is the reading's, in forms that real parsers accept; the server bounds everything."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from io import StringIO

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from rich.console import Console

from ouchi.checks.diagnosis import Health
from ouchi.checks.model import Result
from ouchi.core.errors import BadInput, Failed
from ouchi.flows import metrics_server
from ouchi.flows.doctor import diagnose
from ouchi.flows.metrics import Shared
from ouchi.flows.metrics_server import MetricsServer, Page, is_loopback, parse_listen, url
from ouchi.live.counters import PmdCounters, PortCounters, parse_pmd_counters, parse_ports
from ouchi.live.host import Live
from ouchi.live.rates import rates
from ouchi.report.metrics import HostReading, metrics_text
from ouchi.report.top import top_json, top_lines, top_view
from tests import live
from tests.unit.test_schema import mistakes

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
EVIL = 'a"b\\c\nd\x1b[31m'


def samples_of(reading: HostReading, accept: str = "") -> Samples:
    """What a parser of Prometheus' client library finds; each sample is there once."""
    content, content_type = metrics_text(reading, accept)
    parse = openmetrics if "openmetrics" in content_type else plain_text
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in parse(content.decode())
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def value(samples: Samples, name: str, **labels: str) -> float:
    (found,) = [
        number for (known, own), number in samples.items() if known == f"ouchi_{name}" and labels.items() <= own
    ]
    return found


@pytest.mark.parametrize("name", live.names())
def test_metrics_have_what_the_doctor_finds(name: str) -> None:
    given = live.case(name)
    diagnosis = diagnose(given.live, given.target)
    samples = samples_of(HostReading(given.live, diagnosis, 0.5))
    for check in diagnosis.checks:
        assert value(samples, "check_unknown", check=check.id) == (check.result is Result.UNKNOWN)
        for severity in ("error", "warning", "info"):
            count = sum(finding.severity == severity for finding in check.findings)
            assert value(samples, "check_findings", check=check.id, severity=severity) == count
    assert [health for health in Health if value(samples, "health", health=health)] == [diagnosis.health]
    assert samples == samples_of(HostReading(given.live, diagnosis, 0.5), "application/openmetrics-text; version=1.0.0")


def healthy() -> Live:
    return live.case("healthy").live


def test_metrics_have_the_counters_of_the_reading() -> None:
    now = healthy()
    samples = samples_of(HostReading(now, None, 0.5))
    (cpu, pmd) = next(iter(now.counters.pmds_after.items()))
    at = {"cpu": str(cpu), "node": "0"}
    assert value(samples, "pmd_busy_cycles_total", **at) == pmd.busy == 150_000_000
    assert value(samples, "pmd_idle_cycles_total", **at) == pmd.idle == 1_150_000_000
    assert value(samples, "pmd_received_packets_total", **at) == 1200
    port = {"port": "vhu0", "type": "dpdkvhostuserclient", "bridge": "br-int"}
    assert value(samples, "port_receive_packets_total", **port) == 8
    assert value(samples, "port_receive_bytes_total", **port) == 1676
    assert value(samples, "port_transmit_drops_total", port="br-int") == 8
    assert value(samples, "vswitchd_running", whose="packaged") == 1
    assert value(samples, "plan_readable") == 0
    assert value(samples, "guests") == 1
    for (node, kib), (total, free) in now.hugepages.items():
        page = {"node": str(node), "size_bytes": str(kib * 1024)}
        assert (value(samples, "hugepages", **page), value(samples, "hugepages_free", **page)) == (total, free)


def test_nothing_is_claimed_of_what_could_not_be_read() -> None:
    samples = samples_of(
        HostReading(Live(missing=dict.fromkeys(("machine", "samples", "switch"), "no answer")), None, 9)
    )
    names = {name.removeprefix("ouchi_") for name, _ in samples}
    assert names == {"info", "reading_duration_seconds", "reading_success", "plan_readable"}
    assert value(samples, "reading_success", reading="switch") == 0


def hostile() -> Live:
    """A host whose port and guest have names that are an attack."""
    now = healthy()
    port = PortCounters(EVIL, EVIL, {}, 1, 2, 3, 4, 5, 6)
    guest = replace(now.guests[0], server=EVIL)
    counters = replace(now.counters, before={EVIL: port}, after={EVIL: port}, failed={"a": EVIL})
    return replace(now, counters=counters, guests=(guest,))


def test_names_of_others_stay_names() -> None:
    reading = HostReading(hostile(), None, 0.5)
    content, _ = metrics_text(reading)
    assert b"\x1b" not in content
    assert value(samples_of(reading), "port_receive_packets_total", port='a"b\\c·d·[31m') == 1
    assert "\x1b" not in "".join(top_lines(rates(hostile())))
    assert "\x1b" not in drawn(hostile())


def test_ports_and_pmd_threads_are_parsed_as_far_as_they_count() -> None:
    ports = parse_ports(
        "netdev@ovs-netdev:\n  port 1: a (tap)\n    RX packets:5 errors:0 dropped:1 overruns:0 frame:0\n"
        "    TX packets:? errors:? dropped:? aborted:? carrier:?\n    collisions:?\n    RX bytes:700 (0.7 KiB)  TX bytes:?\n"
    )
    assert ports["a"] == PortCounters("a", "tap", {}, 5, None, 700, None, 1, None)
    pmds = parse_pmd_counters(
        "pmd thread numa_id 1 core_id 5:\n  packets received: 7\n  avg. cycles per packet: 2.50 (5/2)\n"
        "  idle cycles: 30 (75.00%)\n  processing cycles: 10 (25.00%)\nmain thread:\n  packets received: 99\n"
    )
    assert pmds == {5: PmdCounters(1, 10, 30, 7)}
    assert parse_pmd_counters("\x00pmd thread\nwhatever: 9") == {}


def later(now: Live, seconds: float) -> Live:
    """The same host some seconds later: half of all cycles since were busy, and 100 packets a second arrived."""
    cycles = round(seconds * 1e9)
    pmds = {
        cpu: replace(
            pmd, busy=pmd.busy + cycles // 2, idle=pmd.idle + cycles // 2, packets=pmd.packets + round(100 * seconds)
        )
        for cpu, pmd in now.counters.pmds_after.items()
    }
    ports = {
        name: replace(
            port, rx_packets=(port.rx_packets or 0) + round(100 * seconds), rx_bytes=(port.rx_bytes or 0) + 800
        )
        for name, port in now.counters.after.items()
    }
    return replace(now, uptime=now.uptime + seconds, counters=replace(now.counters, pmds_after=pmds, after=ports))


def test_rates_are_of_the_sample_then_of_the_time_since() -> None:
    now = healthy()
    first = rates(now)
    assert first.seconds == 0.5
    assert [(pmd.busy, pmd.rx_pps) for pmd in first.pmds] == [(0.25, 1000)] * len(now.counters.pmds_after)
    assert {port.rx_pps for port in first.ports} == {0}
    assert [(guest.vcpus, guest.cpus_used) for guest in first.guests] == [(2, pytest.approx(0.2))]
    then = rates(later(now, 4), now)
    assert then.seconds == 4
    assert {(pmd.busy, pmd.rx_pps) for pmd in then.pmds} == {(0.5, 100)}
    assert {(port.rx_pps, port.rx_bps) for port in then.ports} == {(100, 1600)}
    assert mistakes("top", top_json(then)) == []


def test_counters_that_start_again_have_no_rate_yet() -> None:
    now = healthy()
    again = rates(now, later(replace(now, uptime=now.uptime - 9), 4))
    assert again.pmds == ()
    assert {port.rx_pps for port in again.ports} == {None}
    new = replace(now, counters=replace(now.counters, before={}, pmds_before={}))
    assert (rates(new).ports, rates(new).pmds) == ((), ())


def drawn(now: Live, width: int = 110) -> str:
    stream = StringIO()
    Console(file=stream, width=width).print(top_view(rates(now), width, "q: end"))
    return stream.getvalue()


def test_the_view_and_the_lines_show_the_same() -> None:
    text = drawn(healthy())
    lines = list(top_lines(rates(healthy())))
    for pattern in (r"CPU 1, node 0 +25 % +█{5} +1\.000 kpps", r"vhu0 +br-int", r"endpoint +2 +0\.20 +4 GiB"):
        assert re.search(pattern, text), text
    assert any(re.fullmatch(r"pmd 1 busy=0\.250 rx_pps=1000 queues=\d", line) for line in lines)
    assert any(line.startswith("port vhu0 rx_pps=0 tx_pps=0 ") for line in lines)
    assert json.dumps(top_json(rates(healthy())))


def test_a_narrow_view_cuts_nothing() -> None:
    text = drawn(healthy(), 70)
    assert "…" not in text
    assert re.search(r"vhu0 +0 pps +0 pps +0 pps", text)


# The server.


@contextmanager
def serving(page: Page) -> Iterator[tuple[str, int]]:
    with MetricsServer(("127.0.0.1", 0), page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[0], server.server_port
        finally:
            server.shutdown()
            thread.join()


def answer_of(address: tuple[str, int], path: str = "/metrics", method: str = "GET") -> tuple[int, bytes, HTTPResponse]:
    connection = HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer
    finally:
        connection.close()


def failing(error: Exception) -> Page:
    def page(_accept: str) -> tuple[bytes, str]:
        raise error

    return page


def test_one_page_is_served() -> None:
    with serving(lambda _accept: (b"up 1\n", "text/plain; version=0.0.4")) as address:
        status, content, answer = answer_of(address)
        assert (status, content, answer.headers["Content-Type"]) == (200, b"up 1\n", "text/plain; version=0.0.4")
        assert answer_of(address, "/metrics?a=b")[:2] == (200, b"up 1\n")
        assert answer_of(address, method="HEAD")[:2] == (200, b"")
        assert answer_of(address, "/")[0] == 404
        assert answer_of(address, method="POST")[0] == 501


@pytest.mark.parametrize(
    ("error", "status"),
    [(TimeoutError(), 503), (BadInput.of("no plan"), 500), (Failed.of("a"), 500), (OSError("b"), 500)],
)
def test_a_reading_that_fails_is_an_http_error(error: Exception, status: int) -> None:
    with serving(failing(error)) as address:
        found, content, _ = answer_of(address)
        assert (found, content[:6]) == (status, b"ouchi:")


def test_slow_and_many_clients_do_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server._Handler, "timeout", 0.5)
    with ExitStack() as opened:
        address = opened.enter_context(serving(lambda _accept: (b"up 1\n", "text/plain")))
        silent = [opened.enter_context(socket.create_connection(address, 10)) for _ in range(40)]
        closed = sum(not client.recv(1) for client in silent)  # at once, or when the time is over
        assert closed == len(silent)
        assert answer_of(address)[0] == 200


def test_a_taken_port_is_a_finding() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadInput) as caught:
        MetricsServer(taken.getsockname(), failing(OSError()))
    assert caught.value.findings[0].found == "Address already in use"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:9779", ("127.0.0.1", 9779)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:65535", ("0.0.0.0", 65535))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected
    assert url(expected) == f"http://{text}/metrics"
    assert is_loopback(expected[0]) == (expected[0] != "0.0.0.0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "9779",
        "localhost:1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "::1:9",
        "[::1]",
        "[1.2.3.4]:5",
        "1.2.3.4:٣",
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_listen(text)


def test_readings_are_shared_and_never_two_at_once() -> None:
    running, most, made = 0, 0, 0
    begun, proceed = threading.Event(), threading.Event()

    def make() -> int:
        nonlocal running, most, made
        running += 1
        most, made = max(most, running), made + 1
        begun.set()
        assert proceed.wait(30)
        running -= 1
        return made

    shared = Shared(make)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(shared.get(30))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    with pytest.raises(TimeoutError):
        shared.get(0.05)
    while sum(thread.is_alive() for thread in threads) < 8:  # all wait for the first
        time.sleep(0.01)
    proceed.set()
    for thread in threads:
        thread.join()
    assert most == 1
    assert set(results) <= {1, 2}  # a thread that was late has the second
    assert shared.get(30) > max(results)
    shared.close()
