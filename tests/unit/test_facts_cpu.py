"""CPUs, caches, kinds and the processor: whole hosts built in memory, and files that are odd."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.core.cpulist import format_cpus
from ouchi.facts import Facts, L3Group, collect, physical_cores
from ouchi.facts.processor import CState, parse_model
from ouchi.machine import Path
from tests.hosts.tree import Tree

CPU = "/sys/devices/system/cpu"
AMD = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD  Ryzen 9\nflags\t\t: fpu svm pdpe1gb\n"
INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Core(TM) i5\nflags\t\t: fpu vmx\n"
ARM = "processor\t: 0\nFeatures\t: fp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n"


class Counting(Tree):
    """Knows how often each file was read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()

    def read(self, path: Path) -> str:
        self.reads[str(path)] += 1
        return super().read(path)


def host(
    cores: list[tuple[int, ...]],
    *,
    cpuinfo: str = INTEL,
    l2: list[tuple[int, ...]] | None = None,
    l3: dict[tuple[int, ...], str] | None = None,
    mhz: dict[int, int] | None = None,
) -> Counting:
    """A host of cores (each with its CPUs), L2 caches (the cores' own unless given) and L3 caches with their sizes."""
    tree = Counting()
    tree.put("/proc/cpuinfo", cpuinfo)
    tree.put(f"{CPU}/online", format_cpus(cpu for core in cores for cpu in core))
    for number, core in enumerate(cores):
        for cpu in core:
            names = {"core_id": number, "physical_package_id": 0, "core_cpus_list": format_cpus(core)}
            tree.put_all(f"{CPU}/cpu{cpu}/topology", names)
            if mhz:
                frequency = {"cpuinfo_max_freq": mhz[cpu] * 1000, "scaling_governor": "powersave"}
                tree.put_all(f"{CPU}/cpufreq/policy{cpu}", frequency)
    caches = [(2, group, "512K") for group in l2 or cores] + [(3, *item) for item in (l3 or {}).items()]
    for level, group, size in caches:
        for cpu in group:
            cache = {"level": level, "size": size, "shared_cpu_list": format_cpus(group)}
            tree.put_all(f"{CPU}/cpu{cpu}/cache/index{level}", cache)
    return tree


def kinds(facts: Facts) -> dict[str, str]:
    found: dict[str, list[int]] = {}
    for cpu in facts.cpus:
        found.setdefault(cpu.kind, []).append(cpu.id)
    return {kind: format_cpus(cpus) for kind, cpus in found.items()}


def test_unequal_l3_groups_and_dies_that_are_nearly_alike() -> None:
    """A Ryzen 9 7950X3D: the die with the large cache is a few per cent slower and of the same kind."""
    cores = [(core, core + 16) for core in range(16)]
    dies = {(*range(8), *range(16, 24)): "98304K", (*range(8, 16), *range(24, 32)): "32768K"}
    facts = collect(host(cores, cpuinfo=AMD, l3=dies, mhz={cpu: 5250 if cpu % 16 < 8 else 5700 for cpu in range(32)}))
    assert facts.l3 == tuple(L3Group(cpus, int(size[:-1])) for cpus, size in dies.items())
    assert {cpu.l3 for cpu in facts.cpus} == {0, 8}
    assert kinds(facts) == {"": "0-31"}
    assert [(core.cpus, core.l2, core.l3) for core in physical_cores(facts.cpus)][8] == ((8, 24), 8, 8)
    processor = facts.processor
    assert (processor.vendor, processor.model) == ("AuthenticAMD", "AMD Ryzen 9")
    assert (processor.virtualisation, processor.smt) == ("svm", True)
    assert {cpu.governor for cpu in facts.cpus} == {"powersave"}


def test_dense_cores_of_amd_show_in_their_frequency() -> None:
    mhz = {cpu: 4900 if cpu < 4 else 3500 for cpu in range(12)}
    cores = [(0, 1), (2, 3), *((cpu,) for cpu in range(4, 12))]
    assert kinds(collect(host(cores, cpuinfo=AMD, mhz=mhz))) == {"performance": "0-3", "efficient": "4-11"}
    # Another maker's slow core is no kind of its own: turbo limits of single cores differ for many reasons.
    assert kinds(collect(host(cores, cpuinfo=INTEL, mhz=mhz))) == {"": "0-11"}
    assert kinds(collect(host(cores, cpuinfo=AMD, mhz=mhz | {0: 0}))) == {"": "0-11"}


def test_kinds_and_shared_l2_of_intel() -> None:
    """A Core i5-13500: six cores with two threads, eight in two clusters that share an L2 cache."""
    cores = [*((cpu, cpu + 1) for cpu in range(0, 12, 2)), *((cpu,) for cpu in range(12, 20))]
    clusters = [*cores[:6], (12, 13, 14, 15), (16, 17, 18, 19)]
    tree = host(cores, l2=clusters, l3={tuple(range(20)): "24576K"}, mhz=dict.fromkeys(range(20), 4800))
    tree.put("/sys/devices/cpu_core/cpus", "0-11")
    tree.put("/sys/devices/cpu_atom/cpus", "12-19")
    facts = collect(tree)
    assert kinds(facts) == {"performance": "0-11", "efficient": "12-19"}
    assert sorted({cpu.l2 for cpu in facts.cpus if cpu.kind == "efficient"}) == [12, 16]
    assert [core.kind for core in physical_cores(facts.cpus)] == ["performance"] * 6 + ["efficient"] * 8
    assert facts.processor.virtualisation == "vmx"
    # One kind alone, as on an N100, makes no hybrid.
    tree.put("/sys/devices/cpu_core/cpus", "")
    assert kinds(collect(tree)) == {"": "0-19"}


def test_capacities_of_arm64() -> None:
    little = ARM.replace("0xd0c", "0xd05")
    tree = host([(cpu,) for cpu in range(6)], cpuinfo=little * 4 + ARM.replace("0xd0c", "0xd0b") * 2)
    for cpu in range(6):
        tree.put(f"{CPU}/cpu{cpu}/cpu_capacity", str(530 if cpu < 4 else 1024 - cpu))
    facts = collect(tree)
    assert kinds(facts) == {"efficient": "0-3", "performance": "4-5"}
    processor = facts.processor
    assert (processor.vendor, processor.model) == ("ARM", "Cortex-A55 + Cortex-A76")
    assert (processor.virtualisation, processor.smt) == ("", False)
    tree.put("/dev/kvm", "")
    assert collect(tree).processor.virtualisation == "arm"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (ARM, ("ARM", "Neoverse-N1")),
        ("CPU implementer\t: 0xc0\nCPU part\t: 0xac3\n", ("Ampere", "Ampere-1")),
        ("CPU implementer\t: 0x77\nCPU part\t: 0xabc\n", ("0x77", "0xabc")),
        ("CPU implementer\t: what\n", ("", "")),
        ("CPU part\t: 0xd0c\nCPU implementer\t: ?\n", ("", "")),
        ("vendor_id\t:\nmodel name\t:   \n", ("", "")),
        ("", ("", "")),
    ],
)
def test_processors_by_name_and_number(cpuinfo: str, expected: tuple[str, str]) -> None:
    assert parse_model(cpuinfo) == expected


def test_idle_states_isolation_and_smt() -> None:
    tree = host([(0, 2), (1, 3)], l3={(0, 1, 2, 3): "32M"})
    tree.put(f"{CPU}/isolated", "1,3")
    for number, (name, latency, off) in enumerate((("POLL", 0, 0), ("C1", 1, 0), ("C6", 170, 1))):
        tree.put_all(f"{CPU}/cpu0/cpuidle/state{number}", {"name": name, "latency": latency, "disable": off})
    facts = collect(tree)
    assert facts.processor.cstates == (CState("POLL", 0, False), CState("C1", 1, False), CState("C6", 170, True))
    assert [cpu.id for cpu in facts.cpus if cpu.isolated] == [1, 3]
    assert facts.l3 == (L3Group((0, 1, 2, 3), 32768),)
    assert facts.processor.smt
    tree.put(f"{CPU}/smt/active", "0")
    assert not collect(tree).processor.smt


def test_smt_where_the_kernel_does_not_say_it_and_siblings_are_off() -> None:
    tree = host([(0, 2), (1, 3)])
    tree.put(f"{CPU}/online", "0-1")
    assert not collect(tree).processor.smt


def test_l3_found_under_another_index() -> None:
    tree = host([(0,), (1,)])
    for cpu in range(2):
        tree.put_all(f"{CPU}/cpu{cpu}/cache/index4", {"level": 3, "size": "8192K", "shared_cpu_list": "0-1"})
        tree.put_all(f"{CPU}/cpu{cpu}/cache/index3", {"level": 4, "size": "1M", "shared_cpu_list": str(cpu)})
    facts = collect(tree)
    assert facts.l3 == (L3Group((0, 1), 8192),)


def test_groups_are_disjoint_whatever_the_files_say() -> None:
    """Cyclic siblings, and caches that name each other's CPUs, offline ones and ones that are not there."""
    tree = host([(0, 1), (1, 2), (2, 0), (3,)], l3={(3,): "x"})
    for cpu, shared in ((0, "0-1,900"), (1, "1-3"), (2, "0-8191"), (3, "3,0")):
        tree.put_all(f"{CPU}/cpu{cpu}/cache/index3", {"level": 3, "size": "-1K", "shared_cpu_list": shared})
    facts = collect(tree)
    assert [group.cpus for group in facts.l3] == [(0, 1), (2, 3)]
    assert {group.size_kib for group in facts.l3} == {0}
    assert [core.cpus for core in physical_cores(facts.cpus)] == [(0, 2), (1,), (3,)]


@pytest.mark.parametrize("listed", ["0-99999999", "0-8191", "0,,1", "3-0", "zero", "0-1," * 20000, "\0\xff", "-1", "٣"])
def test_hostile_lists_stay_small(listed: str) -> None:
    tree = host([(cpu,) for cpu in range(4)])
    for cpu in range(4):
        tree.put(f"{CPU}/cpu{cpu}/topology/core_cpus_list", listed)
        tree.put_all(f"{CPU}/cpu{cpu}/cache/index3", {"level": 3, "size": listed, "shared_cpu_list": listed})
    for name in (f"{CPU}/online", f"{CPU}/isolated", "/sys/devices/cpu_core/cpus", "/sys/devices/cpu_atom/cpus"):
        tree.put(name, listed)
    tree.put("/sys/devices/system/node/node0/cpulist", listed)
    facts = collect(tree)
    assert [cpu.id for cpu in facts.cpus] == [0, 1, 2, 3]
    assert all(cpu.online and len(cpu.siblings) <= 8 for cpu in facts.cpus)
    assert [core.cpus for core in physical_cores(facts.cpus)] == [(0,), (1,), (2,), (3,)]


def test_cpu_numbers_that_linux_cannot_have() -> None:
    tree = Tree()
    for name in ("cpu0", "cpu8191", "cpu8192", "cpu9999", "cpufreq", "cpu١"):
        tree.put(f"{CPU}/{name}/topology/core_id", "0")
    assert [cpu.id for cpu in collect(tree).cpus] == [0, 8191]


def test_a_host_where_every_cpu_is_off_has_one() -> None:
    tree = host([(0,), (1,)])
    tree.put(f"{CPU}/online", "none")
    for cpu in range(2):
        tree.put(f"{CPU}/cpu{cpu}/online", "0")
    assert [cpu.online for cpu in collect(tree).cpus] == [True, False]


def test_a_large_host_reads_each_file_a_limited_number_of_times() -> None:
    """1024 CPUs in 64 groups: the work grows with the number of CPUs, not faster."""
    cores = [(core, core + 512) for core in range(512)]
    groups = {(*range(core, core + 8), *range(core + 512, core + 520)): "32768K" for core in range(0, 512, 8)}
    tree = host(cores, cpuinfo=AMD, l3=groups, mhz=dict.fromkeys(range(1024), 3700))
    facts = collect(tree)
    assert len(facts.l3) == 64
    assert len(physical_cores(facts.cpus)) == 512
    assert max(tree.reads.values()) <= 2
    assert tree.reads.total() <= 7 * 1024


@settings(max_examples=80)
@given(st.data())
def test_any_bytes_in_any_file(data: st.DataObject) -> None:
    tree = host([(0, 2), (1, 3)], cpuinfo=AMD, l3={(0, 1, 2, 3): "4096K"}, mhz=dict.fromkeys(range(4), 3000))
    tree.put(f"{CPU}/smt/active", "1")
    tree.put_all(f"{CPU}/cpu0/cpuidle/state0", {"name": "POLL", "latency": 0, "disable": 0})
    for path in data.draw(st.lists(st.sampled_from(sorted(tree.files)), min_size=1, max_size=8, unique=True)):
        tree.put(path, data.draw(st.binary(max_size=40) | st.from_regex(rb"[0-9,-]{0,20}", fullmatch=True)))
    facts = collect(tree)
    online = {cpu.id for cpu in facts.cpus if cpu.online}
    cores = [cpu for core in physical_cores(facts.cpus) for cpu in core.cpus]
    assert sorted(cores) == sorted(online)
    grouped = [cpu for group in facts.l3 for cpu in group.cpus]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) <= online
    named = {cpu.id: cpu.l3 for cpu in facts.cpus if cpu.l3 >= 0}
    assert named == {cpu: group.cpus[0] for group in facts.l3 for cpu in group.cpus}
