"""A plan as a file: whole, checked before it is used, and only for the host that it was made for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import BadInput, Finding
from ouchi.flows.apply import host_steps
from ouchi.flows.doctor import diagnose
from ouchi.host.refusals import refusals
from ouchi.host.survey import parse
from ouchi.machine.local import LocalMachine
from ouchi.plan.load import read_plan
from ouchi.plan.same_host import on_host
from ouchi.plan.saved import LARGEST, parse_plan, plan_json
from ouchi.plan.target import Target
from ouchi.plan.values import SCHEMA
from ouchi.render.targets import TARGETS, render
from tests import live
from tests.hosts import names
from tests.plans import target_of
from tests.rack import rack

Edit = Callable[[dict[str, Any]], object]


@cache
def document(name: str) -> str:
    """The saved plan of a case, or of the rack, as ``ouchi plan --json`` prints it."""
    return json.dumps(plan_json(rack() if name == "rack" else target_of(name)), indent=2)


def edited(edit: Edit, name: str = "rack") -> bytes:
    data = json.loads(document(name))
    edit(data)
    return json.dumps(data).encode()


def refused(text: bytes) -> list[str]:
    """``where: claim; found`` of each finding that a document is refused with."""
    with pytest.raises(BadInput) as error:
        parse_plan(text, "plan.json")
    return [f"{one.where}: {one.claim}; {one.found}" for one in error.value.findings]


@pytest.mark.parametrize("name", [*names(), "rack"])
def test_nothing_is_lost_in_the_file(name: str) -> None:
    before = rack() if name == "rack" else target_of(name)
    after = parse_plan(document(name).encode(), "plan.json")
    assert after == replace(before, site_file="plan.json")
    assert render(after, TARGETS) == render(before, TARGETS)


@pytest.mark.parametrize("name", live.names())
def test_doctor_finds_the_same_with_the_saved_plan(name: str) -> None:
    given = live.case(name)
    saved = parse_plan(json.dumps(plan_json(given.target)).encode(), "plan.json")
    assert diagnose(given.live, saved) == diagnose(given.live, given.target)


@pytest.mark.parametrize("name", [*names(), "rack"])
def test_apply_makes_the_same_changes_with_the_saved_plan(name: str) -> None:
    before = rack() if name == "rack" else target_of(name)
    saved = parse_plan(document(name).encode(), "plan.json")
    survey = parse("loader\tgrub\n")
    assert host_steps(saved, survey) == host_steps(before, survey)
    assert refusals(saved, survey) == refusals(before, survey)


def test_the_plan_alone_decides_what_is_rendered_and_checked() -> None:
    """Nothing goes back to the site or the facts for what the plan holds."""

    def edit(data: dict[str, Any]) -> None:
        data["ovs_other_config"]["pmd-rxq-assign"] = "roundrobin"
        for nic in data["site"]["nics"]:
            nic["vfs"] = 2 if nic["role"] == "sriov" else 0
        data["facts"]["ovs_version"] = ""

    changed = parse_plan(edited(edit), "plan.json")
    [script] = render(changed, ["ovs"])["ovs"]
    assert 'other_config:pmd-rxq-assign="roundrobin"' in script.text
    [netplan] = render(changed, ["netplan"])["netplan"]
    assert "virtual-function-count: 8" in netplan.text


def test_vfs_have_their_settings_in_the_plan() -> None:
    [nic] = rack().sriov_nics
    requested = next(one for one in rack().site.nics if one.role == "sriov")
    assert len({vf.mac for vf in nic.vfs}) == len(nic.vfs) == requested.vfs
    assert {(vf.vlan, vf.trust, vf.spoof_check) for vf in nic.vfs} == {
        (requested.vlan or 0, requested.trust, requested.spoof_check)
    }


def test_the_rest_of_the_wrong_forms() -> None:
    assert refused(b"") == ["plan.json: the plan is not JSON; EOF while parsing a value at line 1 column 0"]
    assert refused(b"[]") == ["plan.json: this is no saved plan; a list of 0"]
    assert refused(b'{"schema": 2}') == [
        "plan.json: schema: the plan was saved by another version of ouchi; schema 2",
    ]
    assert refused(b'{"schema": true}') == [
        "plan.json: schema: the plan was saved by another version of ouchi; schema true",
    ]
    assert "several hosts" in refused(b'{"schema": 1, "hosts": []}')[0]
    assert "too large" in refused(b" " * (LARGEST + 1))[0]
    assert "not JSON" in refused(b"[" * 100_000)[0]
    assert "not JSON" in refused(edited(lambda data: data["facts"].update(cpus=float("nan"))))[0]
    assert "not JSON" in refused(b'{"schema": "\\ud800"}')[0]
    assert (
        refused(b'{"schema": %d}' % SCHEMA)[0] == "plan.json: name: the plan does not have its form: field required; "
    )


@pytest.mark.parametrize(
    ("edit", "where", "found"),
    [
        (lambda data: data["nics"][0].update(name="eth\x1b[2J"), "nics[0].name", "control characters"),
        (lambda data: data["facts"].update({"a\nb": 1}), "facts", "control characters"),
        (lambda data: data.update(name="best"), "name", '"best"'),
        (lambda data: data["pools"].update(pmd=["1"]), "pools.pmd[0]", '"1"'),
        (lambda data: data["pools"].update(pmd=[True]), "pools.pmd[0]", "true"),
        (lambda data: data["pools"].update(pmd=[4095]), "pools.pmd", "CPU 4095"),
        (lambda data: data["pools"].update(pmd=[10**30]), "pools.pmd[0]", "out of range"),
        (lambda data: data["pools"].update(host=[]), "pools.host", "no CPU"),
        (lambda data: data["pools"].update(extra=[]), "pools.extra", "unexpected"),
        (lambda data: data["hugepages"][0].update(size_kib=0), "hugepages[0]", "0 KiB"),
        (lambda data: data["nics"][0].update(role="spare"), "nics[0].role", '"spare"'),
        (lambda data: data["nics"][0].update(physnet="elsewhere"), "nics[0].physnet", '"elsewhere"'),
        (lambda data: data["nics"][0].update(address="0000:ff:1f.7"), "nics[0].address", "0000:ff:1f.7"),
        (lambda data: data["guests"].pop(), "guests", ""),
        (lambda data: data["guests"][0].update(cpus=[]), "guests[0].cpus", "0 CPUs"),
        (lambda data: data["site"]["servers"][0]["ports"][0].update(network="none"), "site.servers[0].ports[0].network", "no network"),
        (lambda data: data["site"]["networks"][0].update(vlan=5000), "site.networks[0].vlan", "5000"),
        (lambda data: data.pop("facts"), "facts", "required"),
        (lambda data: data["facts"]["cpus"][0].pop("siblings"), "facts.cpus[0].siblings", "required"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_by_its_position(edit: Edit, where: str, found: str) -> None:
    reasons = refused(edited(edit))
    assert any(reason.startswith(f"plan.json: {where}: ") and found in reason for reason in reasons), reasons


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [leaf for key, item in items for leaf in _leaves(item, (*path, key))]


@given(
    st.data(),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just([]) | st.just({}),
)
def test_a_document_with_any_other_value_is_refused_or_can_be_rendered(draw: st.DataObject, value: object) -> None:
    data = json.loads(document("rack"))
    *path, last = draw.draw(st.sampled_from(_leaves(data)))
    parent = data
    for key in path:
        parent = parent[key]
    parent[last] = value
    findings: tuple[Finding, ...] = ()
    try:
        render(parse_plan(json.dumps(data).encode(), "plan.json"), TARGETS)
    except BadInput as error:
        findings = error.findings
    assert all(finding.claim.isprintable() and finding.found.isprintable() for finding in findings)


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(document("rack"))
    machine = LocalMachine()
    assert read_plan(machine, str(path)).plan == rack().plan
    (tmp_path / "link").symlink_to("plan.json")
    assert read_plan(machine, str(tmp_path / "link")).plan == rack().plan


def _fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make",
    [_fifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path), lambda _: None],
    ids=["fifo", "folder", "device", "loop", "missing"],
)
def test_what_is_no_file_is_not_read(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    make(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_plan(LocalMachine(), str(path))


def _moved(target: Target, **changes: Any) -> list[str]:
    with pytest.raises(BadInput) as error:
        on_host(target, replace(target.facts, **changes))
    return [finding.claim.partition("now: ")[2] for finding in error.value.findings]


def test_a_plan_is_for_the_host_that_it_was_made_for() -> None:
    target = parse_plan(document("rack").encode(), "plan.json")
    facts = target.facts
    free = tuple(replace(node, free_kib=1, total_kib=node.total_kib - 1024) for node in facts.memory)
    unnamed = tuple(replace(nic, name="", mac="", driver="vfio-pci") for nic in facts.nics)
    now = replace(facts, memory=free, nics=unnamed)
    assert on_host(target, now) == replace(target, facts=now)
    assert _moved(target, ovs_version="99.0") == ["Open vSwitch"]
    assert _moved(target, system=replace(facts.system, hostname="other")) == ["host name"]
    assert _moved(target, memory=facts.memory[1:]) == ["memory of NUMA node 0"]
    assert _moved(target, cpus=(replace(facts.cpus[0], online=False), *facts.cpus[1:])) == ["topology of the CPUs 0"]
    assert len(_moved(target, nics=())) == len(target.dpdk_nics) + len(target.sriov_nics)
