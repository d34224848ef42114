"""The hosts that tests plan for: each case is the machine its description says, and files and facts agree."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given

from ouchi.core.cpulist import format_cpus, parse_cpus
from ouchi.core.errors import BadInput
from ouchi.facts import Facts, collect, physical_cores
from ouchi.facts.dpdk import support
from ouchi.machine.snapshot import open_snapshot
from ouchi.plan import make_plan
from ouchi.plan.values import mask
from ouchi.site import load_site
from tests.hosts import CASES, IN_MEMORY, build, folder, names
from tests.hosts.cpus import mask as kernel_mask
from tests.hosts.description import Cores, Host, Node, Processor, load
from tests.hosts.generated import descriptions, hosts
from tests.hosts.generated import facts_of as facts_of_host
from tests.hosts.numbering import positions
from tests.hosts.software import elf, pmd_info
from tests.hosts.tree import Tree
from tests.plans import expected, target_of
from tests.plans import facts_of as facts

NAMES = names()
DESCRIBED = [name for name in NAMES if (CASES / name / "host.yaml").is_file()]


def cores_of(facts: Facts) -> list[str]:
    return [format_cpus(core.cpus) for core in physical_cores(facts.cpus)]


def groups_of(facts: Facts) -> list[tuple[str, int]]:
    return [(format_cpus(group.cpus), group.size_kib) for group in facts.l3]


def nodes_of(facts: Facts) -> dict[int, str]:
    nodes: dict[int, list[int]] = {}
    for cpu in facts.cpus:
        if cpu.online:
            nodes.setdefault(cpu.node, []).append(cpu.id)
    return {node: format_cpus(cpus) for node, cpus in nodes.items()}


_EVEN_AND_ODD = (
    ["0,24", "1,25"],
    [(format_cpus(range(0, 48, 2)), 16896), (format_cpus(range(1, 48, 2)), 16896)],
    {0: format_cpus(range(0, 48, 2)), 1: format_cpus(range(1, 48, 2))},
)
TOPOLOGIES: dict[str, tuple[list[str], list[tuple[str, int]], dict[int, str]]] = {
    # the first cores, the L3 groups with their size in KiB, the nodes: as lscpu prints them
    "ryzen-5-3600": (["0,6", "1,7"], [("0-2,6-8", 16384), ("3-5,9-11", 16384)], {0: "0-11"}),
    "ryzen-9-7950x": (["0,16", "1,17"], [("0-7,16-23", 32768), ("8-15,24-31", 32768)], {0: "0-31"}),
    "ryzen-9-9950x3d": (["0,16"], [("0-7,16-23", 98304), ("8-15,24-31", 32768)], {0: "0-31"}),
    "core-i5-13500": (["0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12", "13"], [("0-19", 24576)], {0: "0-19"}),
    "n100-mini-pc": (["0", "1", "2", "3"], [("0-3", 6144)], {0: "0-3"}),
    "xeon-d-1541": (["0,8", "1,9"], [("0-15", 12288)], {0: "0-15"}),
    "xeon-gold-6542y-snc2": (
        ["0,48", "1,49"],
        [("0-23,48-71", 61440), ("24-47,72-95", 61440)],
        {0: "0-11,48-59", 1: "12-23,60-71", 2: "24-35,72-83", 3: "36-47,84-95"},
    ),
    "dual-socket-nic-on-node-1": _EVEN_AND_ODD,
    "epyc-7713-nps1": (
        ["0,64", "1,65"],
        [(f"{low}-{low + 7},{low + 64}-{low + 71}", 32768) for low in range(0, 64, 8)],
        {0: "0-127"},
    ),
    "epyc-7713-nps4": (
        ["0,64", "1,65"],
        [(f"{low}-{low + 7},{low + 64}-{low + 71}", 32768) for low in range(0, 64, 8)],
        {0: "0-15,64-79", 1: "16-31,80-95", 2: "32-47,96-111", 3: "48-63,112-127"},
    ),
    "ampere-altra-q80-30": (["0", "1"], [], {0: "0-79"}),
    "vm-1-cpu": (["0"], [("0", 16384)], {0: "0"}),
    "vm-2-cpus": (["0", "1"], [("0-1", 36608)], {0: "0-1"}),
    "vm-4-cpus": (["0", "1"], [(str(cpu), 16384) for cpu in range(4)], {0: "0-3"}),
    "vm-8-cpus": (["0", "1"], [(str(cpu), 16384) for cpu in range(8)], {0: "0-7"}),
    "cpu-offline": (["0,4", "1,5", "3", "6"], [("0-1,3-6", 8192)], {0: "0-1,3-6"}),
    "only-nic-carries-session": (["0", "1"], [("0-3", 6144)], {0: "0-3"}),
    "meteor-lake-155h": (["0-1", "2", "3"], [("0-19", 24576)], {0: "0-21"}),
    "denverton-no-l3": (["0", "1"], [], {0: "0-7"}),
    "numa-minus-one": _EVEN_AND_ODD,
    "jetpack-48": (
        ["0,24", "1,25"],
        [(format_cpus(range(0, 48, 2)), 15360), (format_cpus(range(1, 48, 2)), 15360)],
        {0: format_cpus(range(0, 48, 2)), 1: format_cpus(range(1, 48, 2))},
    ),
    "realtek-only": (["0,6", "1,7"], [("0-11", 16384)], {0: "0-11"}),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_case_is_the_machine_it_states(name: str) -> None:
    found = facts(name)
    first, groups, nodes = TOPOLOGIES[name]
    assert cores_of(found)[: len(first)] == first
    assert groups_of(found) == groups
    assert nodes_of(found) == nodes
    assert (CASES / name / "README.md").read_text().startswith("# ")
    assert found.system.memory_available_kib > 0
    assert found.system.distribution.id


@pytest.mark.parametrize("name", NAMES)
def test_what_is_expected_of_each_case_keeps_the_rules(name: str) -> None:
    """The plans derived by hand are themselves held to the rules, so that a slip in one is not taken for a plan."""
    found, want = facts(name), expected(name)
    pools = {pool: set(parse_cpus(text)) for pool, text in want["pools"].items()}
    online = {cpu.id for cpu in found.cpus if cpu.online}
    assert set().union(*pools.values()) == online
    assert 0 in pools["host"]
    assert not pools["dedicated"] & (pools["host"] | pools["shared"] | pools["pmd"])
    owners = [pools["host"], pools["dedicated"]]
    if len(physical_cores(found.cpus)) >= 3:
        owners.append(pools["pmd"])
        assert not pools["pmd"] & (pools["host"] | pools["shared"])
        assert set(parse_cpus(want["isolated"])) == pools["pmd"] | pools["dedicated"]
    for core in physical_cores(found.cpus):
        assert sum(bool(owner & set(core.cpus)) for owner in owners) == 1
    assert mask(pools["pmd"]) == want["pmd_mask"]
    pinned = [set(parse_cpus(text)) for text in want["guests"].values() if not set(parse_cpus(text)) & pools["shared"]]
    assert all(cpus <= pools["dedicated"] for cpus in pinned)
    assert not any(one & other for one, other in pairwise(pinned))
    assert set(want["nics"]) == {nic.name for nic in found.nics if nic.address}
    used = {
        nic.name: nic for nic in found.nics if nic.name and want["nics"].get(nic.name, {}).get("role") == "ovs-dpdk"
    }
    node_of = {cpu.id: cpu.node for cpu in found.cpus}
    assert not any(nic.default_route for nic in used.values())
    assert not used or {node_of[cpu] for cpu in pools["pmd"]} == {nic.node for nic in used.values()}
    site = target_of(name).site
    assert {target.nic for target in site.nics} <= {*used, *(nic.address for nic in used.values())}
    assert {server.name: server.vcpus for server in site.servers if server.name in want["guests"]}.keys() == want[
        "guests"
    ].keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_drivers_of_each_case(name: str) -> None:
    found, want = facts(name), expected(name)
    for nic in found.nics:
        if nic.address:
            verdict = support(nic, found.dpdk)
            assert (verdict.pmd if verdict.supported else "") == want["nics"][nic.name]["pmd"], verdict.reason


def test_facts_that_matter() -> None:
    hybrid = facts("core-i5-13500")
    assert {
        kind: format_cpus(cpu.id for cpu in hybrid.cpus if cpu.kind == kind) for kind in ("performance", "efficient")
    } == {
        "performance": "0-11",
        "efficient": "12-19",
    }
    assert format_cpus({cpu.l2 for cpu in hybrid.cpus}) == "0,2,4,6,8,10,12,16"
    assert [core.max_khz for core in physical_cores(hybrid.cpus)][5:7] == [4800000, 3500000]
    assert {cpu.core for cpu in hybrid.cpus} == {0, 4, 8, 12, 16, 20, *range(24, 32)}
    assert {cpu.kind for cpu in facts("n100-mini-pc").cpus} == {""}
    assert {cpu.l2 for cpu in facts("n100-mini-pc").cpus} == {0}
    assert {cpu.kind for cpu in facts("ryzen-9-9950x3d").cpus} == {""}
    assert [cpu.core for cpu in facts("ryzen-5-3600").cpus] == [0, 1, 2, 4, 5, 6] * 2
    assert [node.distances for node in facts("xeon-gold-6542y-snc2").memory][1] == (12, 10, 21, 21)
    arm = facts("ampere-altra-q80-30")
    assert (arm.processor.model, arm.processor.virtualisation, arm.system.architecture) == (
        "Neoverse-N1",
        "arm",
        "aarch64",
    )
    assert arm.boot.secure_boot is None
    offline = facts("cpu-offline").cpus
    assert [(cpu.id, cpu.core, cpu.l3, cpu.siblings) for cpu in offline if not cpu.online] == [
        (2, -1, -1, (2,)),
        (7, -1, -1, (7,)),
    ]


def test_facts_of_nics_that_matter() -> None:
    x710 = facts("ryzen-5-3600").nics[0]
    assert (x710.group_with, x710.node_known, x710.vfs_total, x710.rx_queues) == (("0000:05:00.1",), False, 64, 12)
    e810 = facts("dual-socket-nic-on-node-1").nics[1]
    assert e810.pcie
    assert (e810.pcie.speed_gts, e810.pcie.max_speed_gts, e810.node) == (8.0, 16.0, 1)
    carrier = {nic.name: nic for nic in facts("only-nic-carries-session").nics}
    assert carrier["eno1"].master == "br0"
    assert carrier["eno1"].session
    assert carrier["eno1"].default_route
    assert carrier["eno1"].addresses == ()
    assert carrier["br0"].addresses == ("192.0.2.40/24", "2001:db8:40::40/64")
    locked = facts("realtek-only")
    assert (locked.boot.secure_boot, locked.boot.lockdown) == (True, "integrity")
    assert "intel_iommu=on" in facts("n100-mini-pc").boot.iommu_reason
    assert "firmware shows none" in facts("vm-4-cpus").boot.iommu_reason
    assert facts("xeon-d-1541").boot.iommu
    bifurcated = facts("epyc-7713-nps1")
    assert support(bifurcated.nics[1], bifurcated.dpdk).bifurcated


@pytest.mark.parametrize("name", [name for name in NAMES if (CASES / name / "refused.yaml").is_file()])
def test_what_is_refused(name: str) -> None:
    site = load_site((CASES / name / "refused.yaml").read_bytes(), "refused.yaml")
    with pytest.raises(BadInput) as caught:
        make_plan(site, facts(name))
    claims = "\n".join(map(str, caught.value.findings))
    assert [claim for claim in expected(name)["refused"] if claim not in claims] == []


@pytest.mark.parametrize("name", ["ryzen-5-3600", "only-nic-carries-session"])
def test_a_folder_and_a_tar_say_what_the_tree_states(name: str, tmp_path: Path) -> None:
    tree = build(load(CASES / name / "host.yaml"))
    tree.to_tar(tmp_path / "host.tar.gz")
    target = collect(tree)
    assert collect(open_snapshot(str(folder(name)))) == target
    assert collect(open_snapshot(str(tmp_path / "host.tar.gz"))) == target


def test_lscpu_reads_the_files_as_we_do() -> None:
    """An independent reader of the same files: util-linux's lscpu takes another root."""
    if not shutil.which("lscpu"):
        pytest.skip("an independent reader is needed: lscpu, of util-linux, which Debian and Ubuntu always have")
    for name in ("ryzen-9-9950x3d", "core-i5-13500", "cpu-offline", "dual-socket-nic-on-node-1"):
        with TemporaryDirectory(dir=IN_MEMORY) as root:
            build(load(CASES / name / "host.yaml")).to_folder(Path(root))
            command = ["lscpu", "--sysroot", root, "--online", "--parse=CPU,CORE,NODE,CACHE"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows = [line.split(",") for line in output.splitlines() if not line.startswith("#")]
        found = facts(name)
        assert [int(row[0]) for row in rows] == [cpu.id for cpu in found.cpus if cpu.online]
        cores: dict[str, list[int]] = {}
        caches: dict[str, list[int]] = {}
        nodes: dict[int, list[int]] = {}
        for cpu, core, node, *_, l3 in rows:
            cores.setdefault(core, []).append(int(cpu))
            caches.setdefault(l3, []).append(int(cpu))
            nodes.setdefault(int(node), []).append(int(cpu))
        assert sorted(map(format_cpus, cores.values())) == sorted(cores_of(found))
        assert sorted(map(format_cpus, caches.values())) == sorted(cpus for cpus, _ in groups_of(found))
        assert {node: format_cpus(cpus) for node, cpus in nodes.items()} == nodes_of(found)


def test_numbers_of_threads() -> None:
    def siblings(numbering: str, *runs: Cores) -> list[tuple[int, ...]]:
        host = Host(
            cores=runs,
            numbering=numbering,
            memory=(Node(total_kib=1, free_kib=1),),
            available_kib=1,
            processor=Processor(vendor="GenuineIntel", model=""),
        )
        return sorted({position.siblings for position in positions(host)})

    two = Cores(count=2, threads=2)
    assert siblings("threads last", two) == [(0, 2), (1, 3)]
    assert siblings("adjacent", two) == [(0, 1), (2, 3)]
    assert siblings("adjacent", two, Cores(count=2)) == [(0, 1), (2, 3), (4,), (5,)]
    assert siblings("threads last", two, Cores(count=1)) == [(0, 3), (1, 4), (2,)]
    mixed = (Cores(count=2, threads=2, package=0), Cores(count=1, threads=2, package=1))
    assert siblings("alternating", *mixed) == [(0, 3), (1, 4), (2, 5)]


def test_bitmaps_as_the_kernel_prints_them() -> None:
    assert kernel_mask((0, 6), 12) == "041"
    assert kernel_mask((0,), 4) == "1"
    assert kernel_mask((0, 32), 64) == "00000001,00000001"
    assert kernel_mask((33,), 34) == "2,00000000"


def test_the_driver_library_is_a_shared_object(tmp_path: Path) -> None:
    (tmp_path / "driver.so").write_bytes(elf([pmd_info("net_i40e"), pmd_info("net_igc")]))
    if not shutil.which("readelf"):
        pytest.skip(
            "an independent reader is needed: readelf comes with binutils, for which alone nothing is installed"
        )
    command = ["readelf", "-p", ".rodata", str(tmp_path / "driver.so")]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    assert not output.stderr
    assert output.stdout.count("PMD_INFO_STRING= {") == 2


def test_links_of_a_tree() -> None:
    tree = Tree()
    tree.put("/sys/devices/a/value", "1")
    tree.point("/sys/class/a", "/sys/devices/a")
    tree.point("/loop/one", "/loop/two")
    tree.point("/loop/two", "/loop/one")
    assert tree.links["/sys/class/a"] == "../devices/a"
    assert tree.read("/sys/class/a/value") == "1\n"
    assert tree.read("/sys/class/a/../a/value") == "1\n"
    assert tree.link("/sys/class/a") == "a"
    assert tree.entries("/sys/class/a") == ["value"]
    assert tree.entries("/sys") == ["class", "devices"]
    assert tree.read_bytes("/sys/class/a/value", 1) == b"1"
    assert not tree.exists("/loop/one")
    assert tree.entries("/loop/one/x") == []
    with pytest.raises(OSError, match="too many links"):
        tree.read("/loop/one")
    with pytest.raises(FileNotFoundError):
        tree.read("/sys/class/b")


@given(descriptions(24))
def test_files_and_facts_of_a_generated_host_agree(host: Host) -> None:
    assert collect(build(host)) == facts_of_host(host)


@given(hosts())
def test_generated_hosts_are_possible(found: Facts) -> None:
    assert 1 <= len(found.cpus) <= 1024
    assert [cpu.id for cpu in found.cpus] == list(range(len(found.cpus)))
    assert found.cpus[0].online
    online = {cpu.id: cpu for cpu in found.cpus if cpu.online}
    for cpu in online.values():
        assert cpu.id in cpu.siblings
        assert all(online[other].siblings == cpu.siblings for other in cpu.siblings)
    for group in found.l3:
        assert {online[cpu].l3 for cpu in group.cpus} == {group.cpus[0]}
        assert group.size_kib
    assert found.memory


def test_words_a_description_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "host.yaml").write_text("cores: [{count: 1, sockets: 1}]\nmemory: []\nprocessor: {}\n")
    with pytest.raises(TypeError, match="sockets"):
        load(tmp_path / "host.yaml")
