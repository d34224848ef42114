"""Status: looks within bounds, parts against what they should be, one finding for each cause."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ouchi.checks.check import Check
from ouchi.checks.dataplane import parse_polled
from ouchi.checks.status.cloud import api_parts, compute_part, server_parts
from ouchi.checks.status.host import hugepage_parts, ports_seen
from ouchi.checks.status.looks import Look, look_together
from ouchi.checks.status.services import duration, expected, restarts, running, service_parts, supervisor_part
from ouchi.checks.status.values import HostStatus, Part, by_layer, findings_of, not_asked, of_check
from ouchi.core.errors import Failed, Severity, error
from ouchi.core.instance import Instance
from ouchi.facts import HugepagePool, collect
from ouchi.flows.status import kept_site, read_status, under_way
from ouchi.machine.local import LocalMachine
from ouchi.parts import settings as cloud_module
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import State, Status
from ouchi.plan import make_plan
from ouchi.site import load_site
from ouchi.steps.journal import Journal
from tests.hosts import reader

SITE = b"""\
name: test
networks:
  - {name: left, vlan: 101, subnet: 10.101.0.0/24}
servers:
  - {name: one, vcpus: 1, memory: 256 MiB, ports: [{network: left}]}
  - {name: two, vcpus: 1, memory: 256 MiB, ports: [{network: left}]}
"""


class States:
    """A supervisor that only says how its services are."""

    kind = "supervisor"

    def __init__(self, *states: State) -> None:
        self._states = {state.name: state for state in states}

    def states(self) -> dict[str, State]:
        return self._states

    def start(self, services: object) -> list[str]:
        raise AssertionError("status starts nothing")

    restart = stop = shutdown = log = start  # type: ignore[assignment]


class ReadOnly(LocalMachine):
    """This machine, on which nothing may be changed."""

    def write(self, *_args: object, **_more: object) -> None:
        raise AssertionError("changed")

    make_folder = remove = poke = write  # type: ignore[assignment]


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance("ouchi-unit-test", f"{tmp_path}/state", f"{tmp_path}/run", f"{tmp_path}/logs")


def settings_of(instance: Instance) -> Settings:
    return Settings(instance, {}, "home", {}, ())


# --- looks


def part(name: str, **members: object) -> Part:
    return replace(Part("cloud", "service", name, "running", True), **members)  # type: ignore[arg-type]


def test_looks_keep_their_order_and_what_hangs_is_left_behind() -> None:
    release = threading.Event()

    def hang() -> list[Part]:
        release.wait(10)
        return [part("late")]

    def see(name: str) -> list[Part]:
        time.sleep(0.05 if name == "a" else 0)
        return [part(name)]

    looks = [
        Look("cloud", "a", (), lambda: see("a")),
        Look("cloud", "hangs", ("nova-api",), hang),
        Look("cloud", "b", (), lambda: see("b")),
    ]
    begin = time.monotonic()
    seen = look_together(looks, {"nova-api"}, 0.4)
    assert time.monotonic() - begin < 8  # the one that hangs takes 10
    release.set()
    assert [(found.part, found.state, found.ok) for found in seen] == [
        ("a", "running", True),
        ("hangs", "silent", False),
        ("b", "running", True),
    ]
    assert seen[1].found == "no answer within 0.4 s"
    assert seen[1].remedy == "ouchi logs nova-api"


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        (Failed(error("virsh failed", found="exit status 1: no socket")), "exit status 1: no socket"),
        (ConnectionResetError("gone\nin two lines"), "ConnectionResetError: gone"),
        (KeyError("os-services"), "KeyError: 'os-services'"),
    ],
)
def test_a_look_that_fails_is_one_line(reason: Exception, found: str) -> None:
    def fail() -> list[Part]:
        raise reason

    (seen,) = look_together([Look("servers", "guests", ("libvirtd",), fail)], {"libvirtd"}, 5)
    assert (seen.layer, seen.part, seen.state, seen.ok, seen.found) == ("servers", "guests", "unknown", False, found)


def test_what_needs_a_part_that_is_down_is_not_asked() -> None:
    def never() -> list[Part]:
        raise AssertionError("asked")

    look = Look("servers", "servers", ("mariadb", "keystone-api", "nova-api"), never)
    (seen,) = look_together([look], {"mariadb", "nova-api"}, 5)
    assert (seen.state, seen.ok, seen.found) == ("not asked", False, "keystone-api is down")


# --- services


def test_the_services_are_those_that_up_starts(instance: Instance) -> None:
    layers = expected(settings_of(instance))
    assert list(layers)[:3] == ["ovsdb", "ovs-vswitchd", "mariadb"]
    assert {"rabbitmq", "ovn-northd", "libvirtd", "nova-api", "nova-compute"} <= layers.keys()
    assert {name for name, layer in layers.items() if layer == "dataplane"} == {"ovsdb", "ovs-vswitchd"}
    parts = service_parts(layers, {}, {})
    assert [found.part for found in parts] == list(layers)
    assert {(found.state, found.ok) for found in parts} == {("not started", False)}


def test_services_as_they_are() -> None:
    states = {
        state.name: state
        for state in (
            State("a", Status.RUNNING, 11, 200.0, 0, "running"),
            State("b", Status.RUNNING, 12, 5.0, 1, "running; last exit: terminated by SIGKILL"),
            State("c", Status.STARTING, 0, 0.0, 4, "backoff; last exit: exit status 1"),
            State("extra", Status.RUNNING, 13, 1.0, 0, "running"),
        )
    }
    processes = {"supervisord": 9, "a": 11, "e": 14}
    parts = service_parts(dict.fromkeys("abcde", "cloud"), states, processes)
    assert [(found.part, found.state, found.ok) for found in parts] == [
        ("a", "running", True),
        ("b", "running", True),
        ("c", "starting", False),
        ("d", "not started", False),
        ("e", "unsupervised", False),
        ("extra", "running", True),
    ]
    assert parts[0].found == "pid 11, up 3 min"
    assert parts[1].detail == "restarted 1 time: last exit: terminated by SIGKILL"
    assert "restarted 4 times: last exit: exit status 1" in str(parts[2].finding())
    assert parts[2].remedy == "ouchi logs c"
    assert running(states, processes) >= {"a", "b", "e", "extra"}
    assert "c" not in running(states, processes)


def test_restarts_and_durations_in_words() -> None:
    assert restarts(State("a", Status.RUNNING, 1, 1.0, 0, "running; last exit: exit status 0")) == ""
    assert restarts(State("a", Status.RUNNING, 1, 1.0, 2, "running")) == "restarted 2 times"
    assert [duration(seconds) for seconds in (0.4, 59.9, 60, 3599, 7500, 90000)] == [
        "0 s",
        "59 s",
        "1 min",
        "59 min",
        "2 h 5 min",
        "1 d 1 h",
    ]


def test_the_supervisor_itself() -> None:
    states = {"a": State("a", Status.RUNNING, 3)}
    assert supervisor_part("supervisor", states, {"supervisord": 2}).found == "pid 2, 1 services"
    assert supervisor_part("systemd", states, {}).part == "systemd"
    hangs = supervisor_part("supervisor", {}, {"supervisord": 2, "a": 3})
    assert (hangs.state, hangs.ok) == ("silent", False)
    gone = supervisor_part("supervisor", {}, {"a": 3})
    assert (gone.state, gone.ok) == ("not running", False)
    assert "nothing restarts them" in gone.detail


# --- host and dataplane


def test_hugepages() -> None:
    facts = collect(reader("vm-8-cpus"))
    plan = make_plan(load_site(SITE, "site.yaml"), facts)
    (need,) = plan.hugepages

    def with_pages(total: int) -> Part:
        node = replace(facts.memory[0], hugepages=(HugepagePool(need.size_kib, total, 3),))
        (found,) = hugepage_parts(replace(facts, memory=(node,)), plan)
        return found

    enough, few = with_pages(need.count), with_pages(need.count - 1)
    assert (enough.ok, enough.state) == (True, "reserved")
    assert (few.ok, few.state) == (False, "too few")
    assert enough.found == f"{need.count} of 2 MiB, 3 free"
    assert enough.expected == f"{need.count} planned"


def test_ports_by_their_names_in_ovn() -> None:
    logical = [
        {"name": "id-1", "external_ids": {"neutron:port_name": "one-0"}},
        {"name": "id-2", "external_ids": {"neutron:port_name": "two-0"}},
        {"name": "provnet-1", "external_ids": {}},
    ]
    interfaces = [
        {"name": "br-int", "type": "internal", "external_ids": {}},
        {"name": "vhu1", "type": "dpdkvhostuserclient", "external_ids": {"iface-id": "id-1"}},
        {"name": "vhu2", "type": "dpdkvhostuserclient", "external_ids": {"iface-id": "id-2"}},
    ]
    parts = ports_seen(("one-0", "two-0", "three-0"), logical, interfaces, {"vhu1"})
    assert [(found.part, found.ok, found.found) for found in parts] == [
        ("one-0", True, "vhu1, dpdkvhostuserclient, queue polled"),
        ("two-0", False, "vhu2, dpdkvhostuserclient, queue not polled"),
        ("three-0", False, "no interface in OVS"),
    ]


def test_queues_that_are_polled() -> None:
    """Text of OVS 3.1; a queue that the guest has not enabled yet does not count."""
    text = """Displaying last 60 seconds pmd usage %
pmd thread numa_id 0 core_id 0:
  isolated : false
  port: vhu25e29abc-36    queue-id:  0 (enabled)   pmd usage:  0 %
  port: vhu6aa77734-2b    queue-id:  0 (disabled)  pmd usage:  0 %
  overhead:  0 %
"""
    assert parse_polled(text) == {"vhu25e29abc-36"}


# --- cloud


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """A server where keystone's is expected; the user's proxy is one that does not exist."""
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setitem(cloud_module.PORTS, "keystone", server.server_port)  # type: ignore[arg-type]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("code", "state"), [(200, "answers"), (300, "answers"), (401, "answers"), (503, "failing")])
def test_an_api_answers_with_anything_but_its_own_error(
    instance: Instance, served: HTTPServer, code: int, state: str
) -> None:
    served.status = code  # type: ignore[attr-defined]
    (found,) = api_parts(settings_of(instance), "keystone")
    assert (found.state, found.ok) == (state, state == "answers")
    assert found.found.startswith(f"HTTP {code} in ")


def test_an_api_that_nobody_serves(instance: Instance, served: HTTPServer) -> None:
    served.shutdown()
    served.server_close()
    (found,) = api_parts(settings_of(instance), "keystone")
    assert (found.state, found.ok, found.remedy) == ("silent", False, "ouchi logs keystone-api")
    assert "refused" in found.found


def test_nova_and_its_servers() -> None:
    site = load_site(SITE, "site.yaml")
    rows = [
        {"binary": "nova-conductor", "host": "home", "status": "enabled", "state": "up"},
        {"binary": "nova-compute", "host": "home", "status": "enabled", "state": "down"},
    ]
    assert (compute_part("home", rows).state, compute_part("home", rows).ok) == ("down", False)
    assert compute_part("home", [rows[1] | {"state": "up"}]).ok
    assert not compute_part("home", [rows[1] | {"state": "up", "status": "disabled"}]).ok
    assert compute_part("other", rows).found == "nova knows: home"
    one, two = server_parts(site, [{"name": "one", "status": "ACTIVE"}, {"name": "x", "status": "ACTIVE"}])
    assert (one.state, one.ok) == ("active", True)
    assert (two.state, two.ok) == ("missing", False)
    twice, _ = server_parts(site, [{"name": "one", "status": "ACTIVE"}, {"name": "one", "status": "ERROR"}])
    assert (twice.state, twice.ok, twice.found) == ("there twice", False, "ACTIVE, ERROR")


# --- the whole


def test_checks_as_parts() -> None:
    guest = of_check(Check("one: its memory is on hugepages", False, "0 MiB", "256 MiB"), "servers", "guest")
    assert (guest.label, guest.state, guest.remedy) == ("guest one", "not as planned", "ouchi up")
    assert guest.finding().claim == "guest one: not as planned: its memory is on hugepages"
    switch = of_check(Check("PMD threads run where planned", True, "1", "1", "ouchi logs x"), "dataplane", "switch")
    assert (switch.label, switch.state, switch.remedy) == ("switch", "as planned", "ouchi logs x")


def test_one_finding_for_each_cause() -> None:
    parts = by_layer(
        [
            not_asked("servers", "guests", "libvirtd"),
            part("a", ok=False, state="not started"),
            part("b", ok=False, state="not started"),
            part("c", ok=False, state="failed", remedy="ouchi logs c"),
            part("d"),
            part("hugetlbfs", layer="host", ok=False, state="not mounted", kind=""),
        ]
    )
    assert [found.layer for found in parts] == ["host", "cloud", "cloud", "cloud", "cloud", "servers"]
    findings = findings_of(parts)
    assert [finding.claim for finding in findings] == [
        "2 services are not started",
        "hugetlbfs: not mounted",
        "c: failed",
    ]
    assert all(finding.remedy for finding in findings)
    status = HostStatus(True, (), parts, findings)
    assert not status.healthy
    assert HostStatus(True, (), (part("d"),), ()).healthy
    assert not HostStatus(False, (), (), ()).healthy
    (alone,) = findings_of([part("a", ok=False, state="not started")])
    assert alone.claim == "a: not started"


def test_a_host_that_is_not_up(instance: Instance) -> None:
    status = read_status(ReadOnly(), instance, States())
    assert status.to_json() == {
        "schema": 1,
        "up": False,
        "healthy": False,
        "labels": [],
        "parts": [],
        "findings": [],
    }


def test_what_a_crash_left_is_told_although_nothing_runs(instance: Instance) -> None:
    Path(instance.state).mkdir()
    Journal(LocalMachine(), instance.state).note("hugepages", "0:2048", {"before": 0, "ours": 1})
    status = read_status(ReadOnly(), instance, States())
    assert not status.up
    (left,) = status.findings
    assert (left.severity, left.found) == (Severity.WARNING, "hugepages")


def test_a_host_half_up_without_its_site(instance: Instance) -> None:
    states = States(State("mariadb", Status.RUNNING, 1, 5.0, 0, "running"))
    begin = time.monotonic()
    status = read_status(ReadOnly(), instance, states, busy="ouchi up, process 7")
    assert time.monotonic() - begin < 5
    assert status.up
    assert not status.healthy
    parts = {found.label: found for found in status.parts}
    assert parts["mariadb"].ok
    assert parts["plan"].state == "unknown"
    assert parts["API nova"].state == "not asked"
    claims = [finding.claim for finding in status.findings]
    assert sum("not started" in claim for claim in claims) == 1
    assert not any("API" in claim for claim in claims)
    assert "under way" in claims[-1]
    assert json.loads(json.dumps(status.to_json()))["parts"][0].keys() == {
        "part",
        "kind",
        "layer",
        "state",
        "ok",
        "found",
        "expected",
        "detail",
    }


def test_a_kept_site_that_fits_no_more(instance: Instance) -> None:
    Path(instance.state).mkdir()
    Path(kept_site(instance)).write_bytes(SITE + b"cpus: {pmd: '8191'}\n")
    status = read_status(ReadOnly(), instance, States(State("mariadb", Status.RUNNING, 1)))
    (plan,) = [found for found in status.parts if found.part == "plan"]
    assert plan.state == "cannot be made"
    assert "8191" in plan.found


def test_who_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert under_way(LocalMachine(), str(lock)) == ""
    lock.write_text(f"ouchi up, process {os.getpid()}")
    assert under_way(LocalMachine(), str(lock)) == ""  # said by one that has ended
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert under_way(LocalMachine(), str(lock)) == f"ouchi up, process {os.getpid()}"
