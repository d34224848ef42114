"""The user's file: what it may say, and every way it can be wrong."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ouchi.core.cpulist import HIGHEST_CPU, format_cpus, parse_cpus
from ouchi.core.errors import BadInput, Finding, Severity
from ouchi.facts import Cpu, Facts, collect
from ouchi.facts.nics import Nic
from ouchi.machine.local import LocalMachine
from ouchi.plan.load import own_site
from ouchi.site import (
    Site,
    check_against,
    choose,
    default_site,
    load_site,
    read_sites,
    site_schema,
    write_schema,
)
from ouchi.site.load import load_sites
from ouchi.site.values import parse_memory
from tests.hosts.tree import Tree

ROOT = Path(__file__).parents[2]
CASES = sorted(path.parent for path in (ROOT / "tests/cases/site").glob("*/bad.yaml"))
EXAMPLE = (ROOT / "examples/home.yaml").read_bytes()
SITES = (ROOT / "examples/sites.yaml").read_bytes()


def site_of(text: bytes = EXAMPLE) -> Site:
    return load_site(text, "ouchi.yaml")


def claims(text: bytes) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load_site(text, "ouchi.yaml")
    return [finding.claim for finding in caught.value.findings]


@cache
def refusal(case: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        load_site((case / "bad.yaml").read_bytes(), "bad.yaml")
    return caught.value


class TestBadFiles:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_states_everything_at_once(self, case: Path) -> None:
        assert f"{refusal(case)}\n" == (case / "expected.txt").read_text()

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_each_finding_is_complete(self, case: Path) -> None:
        assert refusal(case).status == 2
        lines = (case / "bad.yaml").read_bytes().decode(errors="replace").count("\n") + 1
        for finding in refusal(case).findings:
            file, line, column = finding.where.rsplit(":", 2)
            assert file == "bad.yaml"
            assert 1 <= int(line) <= lines
            assert int(column) >= 1
            assert finding.severity is Severity.ERROR
            assert finding.found
            assert finding.expected
            assert str(finding).replace("\n", "").isprintable()

    def test_ten_megabytes_are_answered_at_once(self, tmp_path: Path) -> None:
        file = tmp_path / "ouchi.yaml"
        file.write_bytes(b"a: [1, 2]\n" * 1_000_000)
        start = time.process_time()
        with pytest.raises(BadInput, match=r"more than 1048576 bytes"):
            read_sites(LocalMachine(), file)
        assert time.process_time() - start < 0.5

    def test_many_errors_are_cut(self) -> None:
        output = claims(b"".join(b"key%d: 1\n" % number for number in range(1000)))
        assert len(output) == 51
        assert output[-1] == "there are more errors than these 50"

    def test_binary_file_through_the_interface(self, tmp_path: Path) -> None:
        file = tmp_path / "ouchi.yaml"
        file.write_bytes(b"\xff\xfe\x00\x01")
        with pytest.raises(BadInput, match="not a text file"):
            read_sites(LocalMachine(), file)

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.yaml", tmp_path):
            with pytest.raises(BadInput, match="cannot be read"):
                read_sites(LocalMachine(), path)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, text: bytes) -> None:
        only_bad_input(text)

    @given(st.text("ab01: -[]{}&*!?|>'\"\\\n\t#%@,.xU~<=\u0085\u2028é", max_size=120))
    @settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
    def test_anything_like_yaml(self, text: str) -> None:
        only_bad_input(text.encode())

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_a_good_file_with_one_line_or_byte_changed(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(EXAMPLE) - 1))
        cut = data.draw(st.integers(0, 30))
        put = data.draw(
            st.sampled_from([b"", b"\n", b"  ", b": ", b"- ", b'"', b"9", b"[", b"{", b"*a", b"\\x", b"null"])
        )
        only_bad_input(EXAMPLE[:at] + put + EXAMPLE[at + cut :])


def only_bad_input(text: bytes) -> None:
    """Either a site that survives its own JSON, or findings about places in the file."""
    findings: tuple[Finding, ...] = ()
    try:
        site = load_site(text, "any.yaml")
        assert Site.model_validate_json(json.dumps(site.to_json())) == site
    except BadInput as reason:
        findings = reason.findings
        if not findings:
            pytest.fail("an error without a finding")
    for finding in findings:
        assert finding.where.startswith("any.yaml:") or finding.severity is Severity.INFO
        assert str(finding).encode().replace(b"\n", b"").decode().isprintable()


class TestGoodFiles:
    def test_values(self) -> None:
        site = site_of()
        assert site.cpus.dedicated == (2, 3, 4, 5)
        assert site.networks[1].endpoint == IPv4Address("10.102.0.2")
        assert site.networks[0].subnet == IPv4Network("10.101.0.0/24")
        assert [server.memory_mib for server in site.servers] == [256, 1024, 512]
        assert [server.pinned for server in site.servers] == [True, True, False]
        assert site.servers[2].ports[0].address is None

    def test_defaults(self) -> None:
        site = site_of(
            b"name: a\nnetworks: [{name: n, vlan: 4094, subnet: 10.0.0.0/8}]\n"
            b"servers: [{name: s, vcpus: 1, memory: 64MiB, ports: [{network: n}]}]\n"
        )
        assert site.nics == ()
        assert site.cpus.host is None
        assert site.networks[0].physnet == "physnet1"
        assert site.servers[0].pinned == "auto"
        assert site.servers[0].forwards is False

    def test_same_vlan_on_two_physnets(self) -> None:
        site_of(
            b"name: a\nservers: []\nnetworks:\n- {name: n, vlan: 7, subnet: 10.0.0.0/24}\n"
            b"- {name: m, vlan: 7, subnet: 10.0.1.0/24, physnet: physnet2}\n"
        )

    def test_shared_may_overlap_host(self) -> None:
        assert site_of(b'name: a\nservers: []\nnetworks: []\ncpus: {host: "0-1", shared: "1"}\n').cpus.shared == (1,)

    def test_byte_order_mark_and_crlf(self) -> None:
        site = site_of(b"\xef\xbb\xbf" + EXAMPLE.replace(b"\n", b"\r\n"))
        assert site == site_of()
        assert site._source.positions == site_of()._source.positions

    def test_json_and_back(self) -> None:
        site = site_of()
        plain = json.loads(json.dumps(site.to_json()))
        assert plain["cpus"]["dedicated"] == "2-5"
        assert plain["servers"][1]["memory"] == "1 GiB"
        assert "address" not in plain["servers"][2]["ports"][0]
        assert Site.model_validate(plain) == site

    def test_positions_are_no_part_of_the_value(self) -> None:
        site, moved = site_of(), site_of(b"# one line more\n" + EXAMPLE)
        assert site == moved
        assert hash(site) == hash(moved)
        assert site.to_json() == moved.to_json()
        assert (site.where("name"), moved.where("name")) == ("ouchi.yaml:2:7", "ouchi.yaml:3:7")
        assert site.where("networks", 0, "endpoint") == site.where("networks", 0) == "ouchi.yaml:23:5"

    def test_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            site_of().name = "other"  # type: ignore[misc]

    @given(st.text(max_size=50), st.integers(1, 512), st.integers(64, 1 << 22))
    def test_default_site(self, name: str, cpu_count: int, memory_mib: int) -> None:
        site = site_of(default_site(name, cpu_count, memory_mib).encode())
        assert site.nics == ()
        assert [(server.name, server.forwards) for server in site.servers] == [("endpoint", False), ("forwarder", True)]
        assert [network.gateway for network in site.networks] == [port.address for port in site.servers[1].ports]

    def test_editors_find_the_schema(self, tmp_path: Path) -> None:
        """As yaml-language-server reads it: ``getSchemaFromModeline`` in its modelineUtil.ts."""
        path = f"{tmp_path}/site.schema.json"
        for _ in range(2):
            write_schema(LocalMachine(), path)
        assert json.loads(Path(path).read_text()) == site_schema()
        lines = default_site("home", 4, 8192, path).splitlines()
        comments = [line for line in lines if re.match(r"#\s+yaml-language-server\s*:", line)]
        assert re.findall(r"\$schema=\S+", comments[0]) == [f"$schema={path}"]
        assert Path(path).is_absolute()  # a relative one would be looked for beside the site file
        assert default_site("home", 4, 8192).startswith("# The target")

    @pytest.mark.parametrize("cpu_count", [3, 4, 64])
    def test_default_site_with_its_example_pools(self, cpu_count: int) -> None:
        text = default_site("home", cpu_count, 8192)
        example = re.search(r"#cpus:\n(#  .*\n)+", text)
        assert example
        text = text.replace(example[0], re.sub("(?m)^#", "", example[0]))
        pools = site_of(text.encode()).cpus
        assert pools.dedicated == tuple(range(2, cpu_count))

    @pytest.mark.parametrize("name", ["123", "true", "null", "1e5", "My-Box.local", "", "ひ", "-a-"])
    def test_default_site_of_an_odd_host_name(self, name: str) -> None:
        assert site_of(default_site(name, 2, 4096).encode()).name

    def test_schema_describes_every_key(self) -> None:
        schema = site_schema()
        for model in [schema, *schema["$defs"].values()]:
            assert model["additionalProperties"] is False
            for key, field in model["properties"].items():
                assert field["title"], key
                assert field["description"], key
        assert schema["$defs"]["Network"]["properties"]["vlan"]["maximum"] == 4094

    def test_every_key_is_documented_and_in_the_example(self) -> None:
        manual, example = (ROOT / "docs/site.md").read_text(), (EXAMPLE + SITES).decode()
        schema = site_schema()
        for model in [schema, *schema["$defs"].values()]:
            for key in model["properties"]:
                assert f"{key}`" in manual, key
                assert f"{key}:" in example, key


class TestSeveralHosts:
    def test_each_has_what_the_file_states_and_what_it_states_itself(self) -> None:
        attic, cellar, shop = load_sites(SITES, "sites.yaml")
        assert [site.name for site in (attic, cellar, shop)] == ["attic", "cellar", "shop"]
        assert [site.address for site in (attic, cellar, shop)] == [
            "root@192.0.2.11", "admin@192.0.2.12:2222", "[2001:db8::13]",
        ]  # fmt: skip
        assert attic.networks == cellar.networks == shop.networks
        assert attic.servers == cellar.servers
        assert shop.servers == shop.nics == ()
        assert cellar.cpus.prefer == "power"
        assert (cellar.nics[0].vlan, cellar.nics[0].trust, cellar.nics[0].spoof_check) == (101, False, True)

    def test_every_value_is_where_it_stands_in_the_file(self) -> None:
        lines = SITES.decode().splitlines()

        def at(site: Site, *path: str | int) -> str:
            file, line, column = site.where(*path).rsplit(":", 2)
            assert file == "sites.yaml"
            return lines[int(line) - 1][int(column) - 1 :]

        attic, cellar, shop = load_sites(SITES, "sites.yaml")
        assert at(attic, "name") == "attic"
        assert at(attic, "networks", 1, "vlan") == at(cellar, "networks", 1, "vlan") == "102"
        assert at(attic, "servers", 0, "memory") == "1 GiB"
        assert at(cellar, "nics", 0, "vfs") == "4"
        assert at(cellar, "cpus", "prefer") == "power"
        assert at(shop, "servers") == "[]"
        assert at(attic, "cpus", "pmd") == "name: attic"  # nowhere; the host it would belong to

    def test_what_is_wrong_with_a_host_is_reported_of_it_alone(self) -> None:
        _, cellar, _ = load_sites(SITES, "sites.yaml")
        (finding,) = check_against(cellar, facts(NIC))
        assert finding.claim == "this machine has no NIC 0000:01:00.0"
        assert int(finding.where.split(":")[1]) > SITES.decode().splitlines().index("  - name: cellar")

    def test_a_file_about_one_host(self) -> None:
        assert load_sites(EXAMPLE, "ouchi.yaml") == (site_of(),)
        (site,) = load_sites(EXAMPLE + b"address: root@rack1\n", "ouchi.yaml")
        assert site.address == "root@rack1"
        assert site.to_json()["address"] == "root@rack1"
        assert "address" not in site_of().to_json()

    def test_one_host_is_meant(self) -> None:
        with pytest.raises(BadInput, match="several hosts"):
            load_site(SITES, "sites.yaml")
        one = SITES[: SITES.index(b"  - name: cellar")]
        assert load_site(one, "sites.yaml").name == "attic"

    def test_own_site(self) -> None:
        sites = load_sites(SITES, "sites.yaml")
        named = replace(NOWHERE, system=replace(NOWHERE.system, hostname="cellar"))
        assert own_site(sites, named).name == "cellar"
        with pytest.raises(BadInput, match="several hosts") as caught:
            own_site(sites, NOWHERE)
        assert caught.value.findings[0].found == "attic, cellar, shop"

    def test_chosen(self) -> None:
        sites = load_sites(SITES, "sites.yaml")
        assert choose(sites, ()) == sites
        assert [site.name for site in choose(sites, ("shop", "attic", "shop"))] == ["attic", "shop"]
        with pytest.raises(BadInput) as caught:
            choose(sites, ("atic", "attic", "none"))
        assert [finding.found for finding in caught.value.findings] == ['"atic"', '"none"']
        assert caught.value.findings[0].remedy == 'did you mean "attic"?'

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_a_good_file_with_one_position_changed(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(SITES) - 1))
        cut = data.draw(st.integers(0, 40))
        put = data.draw(st.sampled_from([b"", b"\n", b"  ", b": ", b"- ", b'"', b"9", b"[", b"{", b"null", b"hosts:"]))
        try:
            load_sites(SITES[:at] + put + SITES[at + cut :], "any.yaml")
        except BadInput as reason:
            assert reason.findings  # noqa: PT017
            for finding in reason.findings:
                assert finding.where.startswith("any.yaml:") or finding.severity is Severity.INFO

    def test_vfs_keys_need_their_role(self) -> None:
        text = EXAMPLE.replace(b"    role: ovs-dpdk\n", b"    role: sriov\n    vfs: 2\n    vlan: 7\n    trust: true\n")
        assert (site_of(text).nics[0].vlan, site_of(text).nics[0].trust) == (7, True)
        for key in (b"vlan: 7", b"trust: true", b"spoof_check: false"):
            (claim,) = claims(EXAMPLE.replace(b"role: ovs-dpdk\n", b"role: ovs-dpdk\n    " + key + b"\n"))
            assert claim.startswith(f"{key.decode().partition(':')[0]} is for VFs")
        site_of(EXAMPLE.replace(b"role: ovs-dpdk\n", b"role: ovs-dpdk\n    trust: false\n    spoof_check: true\n"))


class TestMemory:
    @pytest.mark.parametrize(
        ("text", "mib"),
        [("256 MiB", 256), ("64MiB", 64), ("4 GiB", 4096), ("1024 GiB", 1 << 20), ("1048576 MiB", 1 << 20)],
    )
    def test_sizes(self, text: str, mib: int) -> None:
        assert parse_memory(text) == mib

    @pytest.mark.parametrize(
        "text", ["", "256", "256 MB", "257 MiB", "62 MiB", "1025 GiB", "-2 GiB", "1.5 GiB", "٢ GiB"]
    )
    def test_no_sizes(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"size|memory"):
            parse_memory(text)


class TestCpuLists:
    @given(st.sets(st.integers(0, HIGHEST_CPU)))
    def test_round_trip(self, cpus: set[int]) -> None:
        assert parse_cpus(format_cpus(cpus)) == tuple(sorted(cpus))

    @given(st.text("0123456789,- x", max_size=30))
    def test_any_text(self, text: str) -> None:
        try:
            cpus = parse_cpus(text)
        except ValueError:
            return
        assert list(cpus) == sorted(set(cpus))
        assert parse_cpus(format_cpus(cpus)) == cpus

    def test_spaces_and_nothing(self) -> None:
        assert parse_cpus(" 0 , 2-4\n") == (0, 2, 3, 4)
        assert parse_cpus("") == parse_cpus("\n") == ()
        assert format_cpus(()) == ""

    @pytest.mark.parametrize(
        ("text", "output"),
        [
            ("0,,1", "empty item"),
            ("0,", "empty item"),
            ("3-1", "backwards"),
            ("1,0-2", "CPU 1 is named twice"),
            ("8192", "above 8191"),
            ("0-99999999", "above 8191"),
            ("0x1", "neither"),
            ("-1", "neither"),
            ("1-2-3", "neither"),
            ("٣", "neither"),
            ("1" * 70000, "too long"),
        ],
    )
    def test_refused(self, text: str, output: str) -> None:
        with pytest.raises(ValueError, match=output):
            parse_cpus(text)


NIC = Nic(
    name="enp3s0",
    address="0000:03:00.0",
    driver="i40e",
    node=0,
    node_known=True,
    mac="02:00:00:00:00:01",
    up=True,
    default_route=False,
    addresses=(),
    master="",
    session=False,
    physical=True,
    vendor="8086",
    device="1572",
    subsystem="8086:0001",
    firmware="",
    speed_mbps=10000,
    pcie=None,
    vfs_total=64,
    vfs_now=0,
    pf="",
    iommu_group=-1,
    group_with=(),
    rx_queues=8,
    tx_queues=8,
)


def facts(*nics: Nic, online: int = 6, present: int = 8) -> Facts:
    cpus = tuple(
        Cpu(number, number, 0, 0, number, 0, (number,), "", 0, "", False, number < online) for number in range(present)
    )
    return replace(NOWHERE, cpus=cpus, nics=nics, boot=replace(NOWHERE.boot, iommu=True))


NOWHERE = collect(Tree())
"""The facts of a host that tells nothing."""


class TestAgainstAMachine:
    def test_fits(self) -> None:
        assert check_against(site_of(), facts(NIC)) == []

    def test_named_by_pci_address(self) -> None:
        assert check_against(site_of(EXAMPLE.replace(b"enp3s0", b'"0000:03:00.0"')), facts(NIC)) == []

    def test_cpus_offline_and_absent(self) -> None:
        (finding,) = check_against(site_of(), facts(NIC, online=4, present=5))
        assert finding.where == "ouchi.yaml:7:14"
        assert (finding.found, finding.expected) == ("CPU 4-5", "CPUs out of 0-3")

    def test_no_such_nic(self) -> None:
        (finding,) = check_against(site_of(), facts(replace(NIC, name="enp4s0", address="0000:04:00.0")))
        assert finding.where == "ouchi.yaml:16:10"
        assert finding.claim == "this machine has no NIC enp3s0"
        assert (finding.expected, finding.remedy) == ("enp4s0", 'did you mean "enp4s0"?')

    def test_no_nic_at_all(self) -> None:
        (finding,) = check_against(site_of(), facts())
        assert finding.remedy == "leave nics out; the networks then stay within this machine"

    @pytest.mark.parametrize(
        ("nic", "output"),
        [
            (replace(NIC, default_route=True), "enp3s0 carries the default route"),
            (replace(NIC, session=True), "enp3s0 carries your session"),
            (replace(NIC, addresses=("192.0.2.2/24",)), "enp3s0 has the address 192.0.2.2/24"),
            (replace(NIC, master="br0"), "enp3s0 is part of br0"),
            (
                replace(NIC, session=True, default_route=True, addresses=("192.0.2.2/24", "fe80::1/64")),
                "enp3s0 carries your session and carries the default route and has the address 192.0.2.2/24, fe80::1/64",
            ),
        ],
    )
    def test_nic_in_use(self, nic: Nic, output: str) -> None:
        free = replace(NIC, name="enp4s0", address="0000:04:00.0")
        (finding,) = check_against(site_of(), facts(nic, free))
        assert finding.severity is Severity.ERROR
        assert finding.where == "ouchi.yaml:16:10"
        assert (finding.found, finding.remedy) == (output, "free: enp4s0")

    def test_one_nic_under_two_names(self) -> None:
        text = EXAMPLE.replace(b"nics:\n", b'nics:\n  - nic: "0000:03:00.0"\n    physnet: other\n')
        (finding,) = check_against(site_of(text), facts(NIC))
        assert finding.claim == "the NIC enp3s0 is there twice"
        assert finding.where == "ouchi.yaml:18:10"

    def test_site_that_came_from_no_file(self) -> None:
        site = Site.model_validate(site_of().to_json())
        assert [finding.where for finding in check_against(site, facts())] == [""]
