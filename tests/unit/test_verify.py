"""The end of ``up``: which checks it evaluates, and what makes it fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ouchi.checks.model import LEVELS, CheckResult, Level, Observation, judge, ok, unknown
from ouchi.checks.registry import evaluate
from ouchi.checks.servers import check_servers
from ouchi.checks.traffic import Route, vlans
from ouchi.checks.verdict import Verdict, failures
from ouchi.core.errors import Unhealthy, error, info, warning
from ouchi.flows.doctor import diagnose
from tests.live import case


def test_kvms_recovery_thread_is_no_emulator_thread() -> None:
    """KVM's own thread in a QEMU process (Linux 6.13 and later) is ignored by ``up`` and by doctor."""
    given = case("kvm-recovery-thread")
    assert [result.id for result in evaluate(given.live, given.target, LEVELS) if result.problems] == []
    assert diagnose(given.live, given.target).problems == ()
    threads = tuple(
        replace(thread, name="worker") if thread.name == "kvm-nx-lpage-re" else thread for thread in given.live.threads
    )
    results = evaluate(replace(given.live, threads=threads), given.target, LEVELS)
    assert [result.id for result in results if result.problems] == ["guests.emulator-placement"]


def result(seen: Observation) -> CheckResult:
    return CheckResult("kernel.x", Level.PLACED, "x", seen.result, seen.found, seen.problems)


def test_errors_and_unknown_checks_are_failures() -> None:
    checks = tuple(
        map(result, (ok(), judge([warning("a"), info("b")], ""), judge([error("c")], ""), unknown("no root")))
    )
    assert [finding.claim for finding in failures(checks)] == ["c", "could not be checked: x"]
    with pytest.raises(Unhealthy, match="no root"):
        Verdict(checks, (), (), True).outcome()
    assert Verdict(checks[:2], (), (), True).outcome().changed
    assert Verdict(checks[:2], (), (), True).held() == "1 checks hold, 1 with warnings or remarks: ouchi doctor"
    assert not Verdict(checks[:2], (), (), False).outcome().changed


def test_servers_in_the_answers_of_nova_and_neutron() -> None:
    target = case("healthy").target
    servers: list[dict[str, Any]] = [
        {"name": guest.name, "status": "ACTIVE", "flavor": {"original_name": guest.flavor}}
        for guest in target.plan.guests
    ]
    ports = [
        {"name": f"{server.name}-{number}", "binding:vif_type": "vhostuser"}
        for server in target.site.servers
        for number in range(len(server.ports))
    ]
    assert [result.found for result in check_servers(target, servers, ports)] == ["2 servers", "2 servers", "3 ports"]
    servers[0] |= {"status": "SHUTOFF", "flavor": {"original_name": "other"}}
    ports[0]["binding:vif_type"] = "binding_failed"
    wrong = check_servers(target, [*servers, servers[1]], ports[:-1])
    assert [(result.id, [finding.found for finding in result.findings]) for result in wrong] == [
        ("servers.active", ["SHUTOFF", "ACTIVE, ACTIVE"]),
        ("servers.flavor", ["other"]),
        ("servers.port-binding", ["VIF type binding_failed", "no such port"]),
    ]


def test_vlans_of_the_pinged_networks_are_in_the_flows() -> None:
    site = case("healthy").target.site
    routes = [Route("left", "endpoint", "10.101.0.2", ("left",), "")]
    flows = "in_port(3),eth_type(0x8100),vlan(vid=101,pcp=0),encap(), packets:3, actions:pop_vlan,2\n"
    assert vlans.evaluate(site, routes, flows) == ok("101")
    (problem,) = vlans.evaluate(site, routes, flows.replace("101", "102")).problems
    assert (problem.finding.claim, problem.finding.found) == ("VLAN 101 is not in the datapath's flows", "VLANs: 102")
