"""The rules that every plan keeps, over random hosts of 1 to 1024 CPUs and random sites, in every style."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import BadInput, Finding, Severity
from ouchi.facts import Facts, physical_cores
from ouchi.plan import Plan, Style, make_plan
from ouchi.plan.target import Target
from ouchi.render.targets import TARGETS, render
from ouchi.site import Site
from tests.hosts.generated import GIB, hosts
from tests.plans import check_rules, server, site_with

STYLES = st.sampled_from([None, *Style])
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a failure's host
UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


def read_ini(text: str) -> object:
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


PARSERS = {
    ".sh": lambda text: shlex.split(text, comments=True),
    ".cfg": lambda text: shlex.split(text, comments=True),
    ".conf": read_ini,
    ".ini": read_ini,
    ".yml": YAML(typ="safe", pure=True).load,
    ".yaml": YAML(typ="safe", pure=True).load,
    ".xml": ET.fromstring,
}

NO_INI = ("modules-load.d", "tmpfiles.d", "local.conf")
"""Files that end in ``.conf`` and are lists of lines."""


def plan_or_findings(site: Site, facts: Facts, style: Style | None = None) -> Plan | tuple[Finding, ...]:
    """The plan, or all the errors that there is none for, each once."""
    try:
        return make_plan(site, facts, style)
    except BadInput as error:
        refused = error.findings
    assert {finding.severity for finding in refused} == {Severity.ERROR}
    assert len(set(refused)) == len(refused)
    return refused


@st.composite
def sites(draw: st.DrawFn, facts: Facts) -> Site:
    """A site that may be had on this host or not: servers, forbidden CPUs, polling cores, an aim, NICs, MTUs."""
    online = [cpu.id for cpu in facts.cpus if cpu.online]
    forbidden = draw(st.sets(st.sampled_from(online[1:]), max_size=4)) if len(online) > 1 else set()
    cpus = [f"prefer: {draw(st.sampled_from(Style))}"]
    if forbidden:
        cpus.append(f'forbidden: "{format_cpus(forbidden)}"')
    if draw(st.booleans()):
        cpus.append(f"pmd_cores: {draw(st.integers(1, 5))}")
    free = [nic for nic in facts.nics if not nic.default_route]
    pnics = draw(st.lists(st.sampled_from(free), max_size=3, unique=True)) if free else []
    nics = "".join(f"  - {{nic: {nic.name}, physnet: physnet{index + 1}}}\n" for index, nic in enumerate(pnics))
    mtu, physnet = draw(st.sampled_from((1280, 1500, 9000))), draw(st.integers(1, 2))
    networks = f"  - {{name: left, vlan: 101, mtu: {mtu}, physnet: physnet{physnet}, subnet: 10.101.0.0/24}}\n"
    servers = "".join(
        server(
            f"s{index}",
            draw(st.sampled_from((1, 1, 2, 3, 4, 8, 17))),
            draw(st.sampled_from(("256 MiB", "1 GiB", "4 GiB"))),
            f"pinned: {draw(st.sampled_from(('auto', 'auto', 'true', 'false')))}, ",
        )
        for index in range(draw(st.integers(0, 5)))
    )
    text = f"cpus: {{{', '.join(cpus)}}}\n" + (f"nics:\n{nics}" if nics else "")
    return site_with(text, servers, networks)


@settings(suppress_health_check=UNHURRIED)
@given(st.data(), hosts(), STYLES)
def test_a_plan_keeps_the_rules_or_says_why_there_is_none(
    data: st.DataObject, facts: Facts, style: Style | None
) -> None:
    site = data.draw(sites(facts))
    before = hash((site, facts))  # both are values all through: nothing that has a hash can change in place
    plan = plan_or_findings(site, facts, style)
    if not isinstance(plan, Plan):
        assert all(finding.where and finding.claim and finding.expected for finding in plan)
        return
    check_rules(plan, facts, site)
    assert make_plan(site, facts, style) == plan
    assert hash((site, facts)) == before


@settings(suppress_health_check=UNHURRIED, max_examples=30)
@given(st.data(), hosts(64))
def test_a_plan_renders_for_every_target(data: st.DataObject, facts: Facts) -> None:
    """Each file is read by a parser of its format; the programs themselves read the cases (test_render_consumers)."""
    site = data.draw(sites(facts))
    plan = plan_or_findings(site, facts)
    assume(isinstance(plan, Plan))
    assert isinstance(plan, Plan)
    for target, files in render(Target(site, facts, plan, "site.yaml"), TARGETS).items():
        for file in files:
            if not any(folder in file.path for folder in NO_INI):
                PARSERS[Path(file.path).suffix](file.text)
            assert str(site.name) in file.text, target


@settings(suppress_health_check=UNHURRIED)
@given(hosts(256), st.sampled_from(Style))
def test_each_alternative_is_the_plan_that_its_name_chooses(facts: Facts, style: Style) -> None:
    site = site_with()
    plan = plan_or_findings(site, facts, style)
    if not isinstance(plan, Plan):
        expected = r"no online CPU is on a NUMA node with memory|.* has too little memory for OVS-DPDK and the servers"
        assert all(re.fullmatch(expected, finding.claim) for finding in plan)
        return
    for alternative in plan.alternatives:
        other = make_plan(site, facts, Style(alternative.name))
        assert (other.name, other.pools) == (alternative.name, alternative.pools)
        assert {one.name: one.numbers for one in other.alternatives} == {
            one.name: one.numbers for one in plan.alternatives
        }
    why_not = (f"a plan for {style} would gain nothing", f"a plan for {style} cannot hold your servers")
    assert (plan.name == style) != any(one.claim.startswith(why_not) for one in plan.findings)


@settings(suppress_health_check=UNHURRIED)
@given(st.data(), hosts(512), st.sampled_from(Style))
def test_polling_is_where_the_nics_are_and_on_the_fast_cores(data: st.DataObject, facts: Facts, style: Style) -> None:
    free = [nic for nic in facts.nics if not nic.default_route]
    cores = physical_cores(facts.cpus)
    assume(free and len(cores) >= 3)
    pnic = data.draw(st.sampled_from(free))
    assume({pnic.node, *(core.node for core in cores)} == {node.node for node in facts.memory})
    assume(min(node.total_kib for node in facts.memory) >= 16 * GIB)  # of each node enough for packet buffers
    plan = make_plan(site_with(f"nics: [{{nic: {pnic.name}, physnet: physnet1}}]", servers=""), facts, style)
    of_cpu = {cpu: core for core in cores for cpu in core.cpus}
    polling = {of_cpu[cpu].id: of_cpu[cpu] for cpu in plan.pools.pmd}
    others = [of_cpu[cpu] for cpu in {*plan.pools.host, *plan.pools.dedicated} if of_cpu[cpu] is not cores[0]]
    here = [core for core in cores if core.node == pnic.node and set(core.cpus).isdisjoint(plan.pools.host)]
    nowhere = f"no PMD thread is on the NUMA node of the NIC {pnic.name}"
    if here:
        assert {core.node for core in polling.values()} == {pnic.node} or len(here) < len(polling)
        assert nowhere not in [finding.claim for finding in plan.findings]
    if any(core.kind == "efficient" for core in polling.values()):
        assert not any(core.kind == "performance" and core.node == pnic.node for core in others)
    rxqs = next(nic.rxqs for nic in plan.nics if nic.name == pnic.name)
    assert rxqs
    assert set(rxqs) <= set(plan.pools.pmd)
    assert len(set(rxqs)) == len(rxqs)


@settings(suppress_health_check=UNHURRIED)
@given(st.data(), hosts(64))
def test_pools_of_the_file_are_kept_to_the_letter_or_refused(data: st.DataObject, facts: Facts) -> None:
    online = [cpu.id for cpu in facts.cpus if cpu.online]
    shuffled = data.draw(st.permutations(online))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(online)), min_size=3, max_size=3)))
    parts = [shuffled[: cuts[0]], shuffled[cuts[0] : cuts[1]], shuffled[cuts[1] : cuts[2]]]
    named = data.draw(st.sets(st.sampled_from(("host", "pmd", "dedicated")), min_size=1))
    pools_of = zip(("host", "pmd", "dedicated"), parts, strict=True)
    requests = {pool: tuple(sorted(part)) for pool, part in pools_of if part and pool in named}
    assume(requests)
    text = ", ".join(f'{pool}: "{format_cpus(cpus)}"' for pool, cpus in requests.items())
    plan = plan_or_findings(site_with(f"cpus: {{{text}}}", servers=""), facts)
    if not isinstance(plan, Plan):
        assert all(finding.where and finding.claim for finding in plan)
        return
    pools = plan.pools
    assert all(getattr(pools, pool) == cpus for pool, cpus in requests.items())
    assert not set(pools.dedicated) & {*pools.host, *pools.shared, *pools.pmd}
    idle = set(online) - {*pools.host, *pools.pmd, *pools.dedicated, *pools.shared}
    reported = [finding.claim for finding in plan.findings]
    assert (f"CPUs {format_cpus(idle)} are in no pool and stay idle" in reported) == bool(idle)
    for core in physical_cores(facts.cpus):
        owners = [pool for pool in (pools.host, pools.dedicated) if set(pool) & set(core.cpus)]
        split = f"the physical core of CPU {core.id} is split"
        assert len(owners) < 2 or any(split in claim for claim in reported)
