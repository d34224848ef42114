"""The status: parts are read within a time limit, with one finding for each cause."""

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
from typing import Any

import pytest

from ouchi.core.errors import Failed, Severity, error
from ouchi.core.instance import Instance
from ouchi.flows.status import read_status, under_way
from ouchi.live.ovs import parse_queues
from ouchi.machine.local import LocalMachine
from ouchi.parts import registry
from ouchi.parts.context import Context
from ouchi.parts.daemon import duration, found_of, state_of
from ouchi.parts.host_status import HostStatus, PartLine, findings_of
from ouchi.parts.openstack.api import Api
from ouchi.parts.openstack.nova import compute_state
from ouchi.parts.openstack.servers import DOMAIN, active
from ouchi.parts.part import Part, PartState, present
from ouchi.parts.supervise import Service, ServiceState, ServiceStatus
from ouchi.parts.walk import look_at
from ouchi.plan.load import facts_of, target_of
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
    """A supervisor that only shows how its services are."""

    kind = "supervisor"

    def __init__(self, *states: ServiceState) -> None:
        self._states = {state.name: state for state in states}

    def states(self) -> dict[str, ServiceState]:
        return self._states

    def defines(self, service: Service) -> bool:
        return True

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


def at(instance: Instance, *states: ServiceState) -> Context:
    target = target_of(f"{instance.state}/none.yaml", None, facts_of(reader("vm-8-cpus")))
    return Context(ReadOnly(), instance, target, seconds=1, chosen=States(*states))


def a_part(part_name: str, *, needs: tuple[str, ...] = (), services: tuple[str, ...] = (), see: Any = present) -> Part:
    class One(Part):
        name = part_name
        stage = "cloud"
        service_names = services

        def look(self, at: Context) -> PartState:
            found: PartState = see()
            return found

    One.needs = needs
    return One()


# --- looking


def test_a_part_that_hangs_is_left_behind(instance: Instance) -> None:
    release = threading.Event()

    def hang() -> PartState:
        release.wait(10)
        return present()

    begin = time.monotonic()
    seen = look_at(at(instance), [a_part("a"), a_part("hangs", see=hang), a_part("b")], 0.4)
    assert time.monotonic() - begin < 8  # the one that hangs takes 10
    release.set()
    assert {name: (state.state, state.ok) for name, state in seen.items()} == {
        "a": ("present", True),
        "hangs": ("silent", False),
        "b": ("present", True),
    }
    assert seen["hangs"].found == "no answer within 0.4 s"


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        (Failed(error("virsh failed", found="exit status 1: no socket")), "exit status 1: no socket"),
        (ConnectionResetError("gone\nin two lines"), "ConnectionResetError: gone"),
        (KeyError("os-services"), "KeyError: 'os-services'"),
        (PermissionError(13, "Permission denied", "/a/file"), "only root may read /a/file"),
    ],
)
def test_a_look_that_fails_is_unknown(instance: Instance, reason: Exception, found: str) -> None:
    def fail() -> PartState:
        raise reason

    running = ServiceState("guestd", ServiceStatus.RUNNING, 1)
    state = look_at(at(instance, running), [a_part("guests", services=("guestd",), see=fail)], 5)["guests"]
    assert (state.state, state.ok, state.found, state.services) == ("unknown", None, found, (running,))


def test_what_the_cloud_would_tell_is_not_asked_while_it_is_down(instance: Instance) -> None:
    Path(instance.state, "mariadb").mkdir(parents=True)
    states = look_at(at(instance, ServiceState("mariadb", ServiceStatus.RUNNING, 1)), registry.all_parts(), 10)
    assert states["servers"].ok is None
    assert states["servers"].found == "nova-api is not running"


# --- programs


def test_the_services_of_all_parts() -> None:
    names = [name for part in registry.all_parts() for name in part.service_names]
    assert len(names) == len(set(names))
    expected = {"ovsdb", "ovs-vswitchd", "mariadb", "rabbitmq", "ovn-northd", "libvirtd", "nova-api", "nova-compute"}
    assert expected <= set(names)


def test_programs_as_they_are() -> None:
    states = [
        ServiceState("a", ServiceStatus.RUNNING, 11, 200.0, 0, "running"),
        ServiceState("b", ServiceStatus.RUNNING, 12, 5.0, 1, "running; last exit: terminated by SIGKILL"),
        ServiceState("c", ServiceStatus.STARTING, 0, 0.0, 4, "backoff; last exit: exit status 1"),
        ServiceState("d", ServiceStatus.ABSENT),
        ServiceState("e", ServiceStatus.ABSENT),
    ]
    texts = [found_of([state], frozenset("ae")) for state in states]
    assert texts == [
        "pid 11, up 3 min",
        "pid 12, up 5 s, restarted once (last exit: terminated by SIGKILL)",
        "backoff; last exit: exit status 1, restarted 4 times (last exit: exit status 1)",
        "no process",
        "running without its supervisor",
    ]
    assert found_of(states[:2], frozenset()).startswith("a: pid 11, up 3 min, b: pid 12")
    worst = [state_of(some, frozenset("ae")) for some in (states[:2], states[:3], states, states[4:])]
    assert worst == ["running", "starting", "not started", "unsupervised"]


def test_durations() -> None:
    seconds = (0.4, 59.9, 60, 3599, 7500, 90000)
    assert [duration(each) for each in seconds] == ["0 s", "59 s", "1 min", "59 min", "2 h 5 min", "1 d 1 h"]


def test_queues_that_are_polled() -> None:
    """Text of OVS 3.1; a queue that the guest has not enabled yet does not count."""
    text = """Displaying last 60 seconds pmd usage %
pmd thread numa_id 0 core_id 0:
  isolated : false
  port: vhu25e29abc-36    queue-id:  0 (enabled)   pmd usage:  0 %
  port: vhu6aa77734-2b    queue-id:  0 (disabled)  pmd usage:  0 %
  overhead:  0 %
"""
    _, queues = parse_queues(text)
    assert {queue.port for queue in queues if queue.enabled} == {"vhu25e29abc-36"}


# --- cloud


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Notify nothing."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """A server where keystone's is expected; the user's proxy is one that does not exist."""
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    ports = registry.ports() | {"keystone": server.server_port}
    monkeypatch.setattr(registry, "ports", lambda: ports)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    yield server
    server.shutdown()
    server.server_close()


class Running(Api):
    """An API whose program runs as it should."""

    name = "keystone"
    service_names = ("keystone-api",)

    def services(self, at: Context) -> list[Service]:
        return []

    def files(self, at: Context) -> dict[str, Any]:
        return {}


RUNS = ServiceState("keystone-api", ServiceStatus.RUNNING, 7)


@pytest.mark.parametrize(("code", "state"), [(200, "running"), (300, "running"), (401, "running"), (503, "failing")])
def test_an_api_answers_with_anything_but_its_own_error(
    instance: Instance, served: HTTPServer, code: int, state: str
) -> None:
    served.status = code  # type: ignore[attr-defined]
    found = Running().look(at(instance, RUNS))
    assert (found.state, found.ok) == (state, state == "running")
    assert found.found.startswith(f"HTTP {code} in ")


def test_an_api_that_does_not_answer(instance: Instance, served: HTTPServer) -> None:
    served.shutdown()
    served.server_close()
    found = Running().look(at(instance, RUNS))
    assert (found.state, found.ok, found.remedy) == ("silent", False, "ouchi logs keystone-api")
    assert "refused" in found.found


def test_nova_and_its_servers() -> None:
    rows = [
        {"binary": "nova-conductor", "host": "home", "status": "enabled", "state": "up"},
        {"binary": "nova-compute", "host": "home", "status": "enabled", "state": "down"},
    ]
    assert compute_state(rows, "home") == "enabled, down"
    assert compute_state([rows[1] | {"state": "up"}], "home") == "enabled, up"
    assert compute_state(rows, "other") == "unknown to nova, which has home"

    def server(name: str, status: str = "ACTIVE", domain: str = "instance-1") -> dict[str, str]:
        return {"name": name, "status": status, DOMAIN: domain}

    assert active([server("one"), server("x")], ["instance-1"]) == {"one", "x"}
    assert active([server("one", "ERROR"), server("two", domain="instance-2")], ["instance-1"]) == set()
    assert active([server("one"), server("one", "ERROR")], ["instance-1"]) == set()


# --- the whole


def test_one_finding_for_each_cause() -> None:
    parts = [
        a_part("a", services=("a1", "a2")),
        a_part("b", services=("b",)),
        a_part("c", services=("c",)),
        a_part("needs c", needs=("c",)),
        a_part("needs that", needs=("needs c",)),
        a_part("d"),
        a_part("e"),
    ]
    states = {
        "a": PartState(False, "not started"),
        "b": PartState(False, "not started"),
        "c": PartState(False, "failed", services=(ServiceState("c", ServiceStatus.FAILED),)),
        "needs c": PartState(False, "missing"),
        "needs that": PartState(None, "unknown"),
        "d": present(),
        "e": PartState(False, "not mounted", "/a/path"),
    }
    findings = findings_of(parts, states)
    assert [finding.claim for finding in findings] == ["3 services are not started", "c: failed", "e: not mounted"]
    assert [finding.remedy for finding in findings] == ["ouchi up", "ouchi logs c", "ouchi up"]
    (alone,) = findings_of(parts[:1], states)
    assert alone.claim == "a: not started"


def test_healthy_is_up_and_every_part_as_it_should_be() -> None:
    good, bad = PartLine("cloud", "a", present()), PartLine("cloud", "a", PartState(False, "failed"))
    assert HostStatus(True, (), (good,), ()).healthy
    assert not HostStatus(True, (), (bad,), ()).healthy
    assert not HostStatus(True, (), (replace(good, state=PartState(None, "unknown")),), ()).healthy
    assert not HostStatus(True, (), (good,), (error("not so"),)).healthy
    assert not HostStatus(False, (), (), ()).healthy


def test_a_host_that_is_not_up(instance: Instance) -> None:
    status = read_status(at(instance))
    expected = {"schema": 2, "up": False, "healthy": False, "labels": [], "parts": [], "checks": [], "findings": []}
    assert status.to_json() == expected


def test_what_a_crash_left_although_nothing_runs(instance: Instance) -> None:
    Path(instance.state).mkdir()
    record = ["hugepages", "0:2048", {"before": 0, "ours": 1, "reserved": True}]
    Path(instance.state, "journal.json").write_text(json.dumps([record]))
    status = read_status(at(instance))
    assert not status.up
    (left,) = status.findings
    assert (left.severity, left.found) == (Severity.WARNING, "hugepages")


def test_a_host_half_up_without_its_site(instance: Instance) -> None:
    here = at(instance, ServiceState("mariadb", ServiceStatus.RUNNING, 1, 5.0, 0, "running"))
    here.planned = None
    begin = time.monotonic()
    status = read_status(here, busy="ouchi up, process 7")
    assert time.monotonic() - begin < 10
    assert status.up
    assert not status.healthy
    states = {line.name: line.state for line in status.parts}
    assert states["bridges"].state == "unknown"
    claims = [finding.claim for finding in status.findings]
    assert "there is no plan" in claims
    assert sum("not started" in claim for claim in claims) <= 1
    assert "ouchi up, process 7 is running" in claims[-1]
    line = json.loads(json.dumps(status.to_json()))["parts"][1]
    assert line.keys() == {"part", "stage", "ok", "state", "found", "to_do", "remedy", "services"}


def test_a_kept_site_that_no_longer_fits(instance: Instance) -> None:
    Path(instance.state).mkdir()
    Path(instance.kept_site).write_bytes(SITE + b"cpus: {pmd: '8191'}\n")
    status = read_status(at(instance, ServiceState("mariadb", ServiceStatus.RUNNING, 1)))
    assert any("8191" in finding.found for finding in status.findings)
    assert not status.healthy


def test_who_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert under_way(LocalMachine(), str(lock)) == ""
    lock.write_text(f"ouchi up, process {os.getpid()}")
    assert under_way(LocalMachine(), str(lock)) == ""  # said by one that has ended
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert under_way(LocalMachine(), str(lock)) == f"ouchi up, process {os.getpid()}"
