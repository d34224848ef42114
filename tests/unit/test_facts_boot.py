"""How a host was started: the command line, the IOMMU and why, Secure Boot, lockdown; distances of nodes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.facts import collect
from ouchi.facts.boot import SECURE_BOOT, TABLES, parse_parameters, read_boot, why_off
from tests.hosts.tree import Tree


def test_words_of_the_command_line() -> None:
    line = 'BOOT_IMAGE=/vmlinuz quiet isolcpus=1-3 dyndbg="file hub.c +p; func x" "a b"=c  last'
    words = ("BOOT_IMAGE=/vmlinuz", "quiet", "isolcpus=1-3", 'dyndbg="file hub.c +p; func x"', '"a b"=c', "last")
    assert parse_parameters(line) == words
    assert parse_parameters('open="never closed at all') == ('open="never closed at all',)
    assert parse_parameters("") == ()


@given(st.text(alphabet=' "ab=', max_size=60))
def test_no_word_is_lost(line: str) -> None:
    assert "".join(parse_parameters(line)).replace(" ", "") == line.replace(" ", "")


@pytest.mark.parametrize(
    ("cmdline", "tables", "output"),
    [
        ("quiet intel_iommu=off iommu=off", ["DMAR"], "the kernel command line says intel_iommu=off, iommu=off"),
        ("quiet amd_iommu=off", ["IVRS"], "the kernel command line says amd_iommu=off"),
        ("quiet", ["APIC", "DMAR"], "intel_iommu=on is missing from the kernel command line of an Intel machine"),
        ("intel_iommu=on", ["DMAR"], "the firmware shows one (Intel VT-d, table DMAR), but the kernel does not use it"),
        ("iommu=pt", ["IVRS"], "the firmware shows one (AMD-Vi, table IVRS), but the kernel does not use it"),
        ("quiet", ["APIC"], f"the firmware shows none (no DMAR, IVRS, IORT, VIOT table under {TABLES})"),
        ("quiet", [], f"the kernel shows none, and the firmware's tables cannot be seen ({TABLES})"),
    ],
)
def test_why_the_iommu_is_off(cmdline: str, tables: list[str], output: str) -> None:
    tree = Tree()
    tree.put("/proc/cmdline", cmdline)
    for table in tables:
        tree.put(f"{TABLES}/{table}", b"")
    boot = read_boot(tree)
    assert (boot.iommu, boot.iommu_reason) == (False, f"off: {output}")
    assert why_off(cmdline.split(), tables) == output


def test_the_iommu_is_on() -> None:
    tree = Tree()
    tree.put("/sys/kernel/iommu_groups/0/type", "DMA")
    assert read_boot(tree).iommu_reason == (
        "on: the kernel keeps devices apart in 1 groups under /sys/kernel/iommu_groups"
    )
    for number in range(6):
        tree.put(f"/sys/class/iommu/dmar{number}/intel-iommu/version", "1:0")
    boot = read_boot(tree)
    assert boot.iommu
    assert boot.iommu_reason == "on: dmar0, dmar1, dmar2, dmar3 and 2 more under /sys/class/iommu"


def test_groups_that_protect_nothing() -> None:
    """VFIO's mode without an IOMMU makes groups as well."""
    tree = Tree()
    tree.put("/sys/kernel/iommu_groups/0/name", "vfio-noiommu")
    assert not read_boot(tree).iommu


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (b"\x06\0\0\0\x01", True),
        (b"\x06\0\0\0\0", False),
        (b"\x06\0\0\0\x07", None),
        (b"\x06\0\0\0\x01\x01", None),
        (b"\x01", None),
        (b"", None),
    ],
)
def test_secure_boot(variable: bytes, expected: bool | None) -> None:
    tree = Tree()
    tree.put(SECURE_BOOT, variable)
    assert read_boot(tree).secure_boot is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none [integrity] confidentiality", "integrity"),
        ("[none] integrity confidentiality", "none"),
        ("none integrity [confidentiality]", "confidentiality"),
        ("[something new]", ""),
        ("", ""),
    ],
)
def test_lockdown(text: str, expected: str) -> None:
    tree = Tree()
    tree.put("/sys/kernel/security/lockdown", text)
    assert read_boot(tree).lockdown == expected


def test_a_host_that_reports_nothing() -> None:
    facts = collect(Tree())
    assert (facts.boot.parameters, facts.boot.secure_boot, facts.boot.lockdown) == ((), None, "")
    assert not facts.boot.iommu
    assert (facts.schema, facts.ovs_version) == (2, "")
    assert json.loads(json.dumps(facts.to_json())) == facts.to_json()


def test_the_version_of_open_vswitch_is_requested() -> None:
    tree = Tree()
    tree.put("/.ouchi/ovs-version", "3.1.0")
    assert collect(tree).ovs_version == "3.1.0"


def test_distances_of_nodes() -> None:
    tree = Tree()
    for node, distance in ((0, "10 21"), (1, "21 ten"), (2, "21 99999999999")):
        tree.put(f"/sys/devices/system/node/node{node}/meminfo", f"Node {node} MemTotal: 1024 kB")
        tree.put(f"/sys/devices/system/node/node{node}/distance", distance)
    assert [node.distances for node in collect(tree).memory] == [(10, 21), (), ()]


@pytest.mark.parametrize(
    "forged", ["3.1.0\nid > /tmp/x #", "3.1.0; id", "3.1.0 $(id)", "x", "3..1", "1.2.3.4.5", "9" * 99]
)
def test_a_version_is_numbers_with_dots(forged: str) -> None:
    tree = Tree()
    tree.put("/.ouchi/ovs-version", forged)
    assert collect(tree).ovs_version == ""
