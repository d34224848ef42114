"""Facts: recorded and built hosts, and files that are missing or odd."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import BadInput
from ouchi.facts import Cpu, Facts, collect, physical_cores
from ouchi.facts.nics import default_interfaces
from ouchi.facts.system import parse_distribution
from ouchi.machine.local import LocalMachine
from ouchi.machine.routes import interface_addresses, local_addresses
from ouchi.machine.snapshot import SnapshotReader
from tests.hosts import folder, reader


def host(name: str, session: str = "") -> Facts:
    return collect(reader(name), session)


def put(root: Path, **files: str) -> SnapshotReader:
    """A snapshot of the files named by their paths (``/`` written as ``__``)."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SnapshotReader(root)


def test_the_recorded_machine() -> None:
    facts = host("vm-2-cpus", "192.0.2.2")
    assert [(cpu.id, cpu.core, cpu.l3, cpu.siblings, cpu.online) for cpu in facts.cpus] == [
        (0, 0, 0, (0,), True),
        (1, 1, 0, (1,), True),
    ]
    eth0 = facts.nics[0]
    assert (eth0.name, eth0.address, eth0.driver, eth0.mac) == (
        "eth0",
        "0000:00:03.0",
        "virtio_net",
        "02:00:00:00:00:01",
    )
    assert eth0.default_route
    assert eth0.session
    assert eth0.physical
    assert eth0.up
    assert (eth0.node, eth0.node_known) == (0, False)
    assert eth0.addresses == ("192.0.2.2/24", "fd00::2/64")
    assert not any(nic.physical or nic.default_route or nic.session for nic in facts.nics[1:])
    # One node: /proc/meminfo is believed, not the node's own file, which says 5.2 GiB here.
    assert facts.memory[0].total_kib == 24684096
    assert {pool.size_kib for pool in facts.memory[0].hugepages} == {2048, 1048576}
    system = facts.system
    assert (system.hostname, system.architecture, system.distribution.codename) == ("home", "x86_64", "bookworm")
    assert (system.pid1, system.virtual, system.kvm_device, system.pdpe1gb) == ("init", "hypervisor", True, True)


def test_siblings_and_l3_groups() -> None:
    facts = host("ryzen-5-3600")
    assert [core.cpus for core in physical_cores(facts.cpus)] == [(cpu, cpu + 6) for cpu in range(6)]
    assert {cpu.id for cpu in facts.cpus if cpu.l3 == 0} == {0, 1, 2, 6, 7, 8}
    assert {cpu.id for cpu in facts.cpus if cpu.l3 == 3} == {3, 4, 5, 9, 10, 11}
    assert {cpu.max_khz for cpu in facts.cpus} == {4208203}
    nics = {nic.name: nic for nic in facts.nics}
    assert (nics["enp5s0f0"].address, nics["enp5s0f0"].driver) == ("0000:05:00.0", "i40e")
    assert nics["enp5s0f0"].addresses == ()  # link-local addresses come with every link that is up
    assert nics["enp5s0f1"].up is False
    assert nics["enp6s0"].default_route


def test_nodes() -> None:
    facts = host("dual-socket-nic-on-node-1")
    assert {cpu.node for cpu in facts.cpus if cpu.id % 2} == {1}
    assert {nic.name: (nic.node, nic.node_known) for nic in facts.nics} == {
        "eno1": (0, True),
        "ens4f0": (1, True),
        "ens4f1": (1, True),
    }
    assert [node.node for node in facts.memory] == [0, 1]
    assert facts.memory[1].total_kib == 66044724
    assert facts.memory[1].free_kib == 64800184 + 402332 - 402332 // 20


def test_offline_cpus_are_facts_but_no_cores() -> None:
    facts = host("cpu-offline")
    assert [cpu.id for cpu in facts.cpus if not cpu.online] == [2, 7]
    assert facts.cpus[2] == Cpu(2, -1, -1, 0, -1, -1, (2,), "", 0, "", False, False)
    assert [core.cpus for core in physical_cores(facts.cpus)] == [(0, 4), (1, 5), (3,), (6,)]


def test_an_empty_host_has_one_cpu_and_one_node(tmp_path: Path) -> None:
    facts = collect(SnapshotReader(tmp_path))
    assert facts.cpus == (Cpu(0, -1, -1, 0, -1, -1, (0,), "", 0, "", False, True),)
    assert [(node.node, node.total_kib, node.hugepages) for node in facts.memory] == [(0, 0, ())]
    assert facts.nics == ()
    assert json.loads(json.dumps(facts.to_json())) == facts.to_json()


def test_a_container_without_node_or_cpu_folders(tmp_path: Path) -> None:
    reader = put(
        tmp_path,
        proc__cpuinfo="processor\t: 0\nflags\t: fpu\n\nprocessor\t: 1\nflags\t: fpu\n",
        proc__meminfo="MemTotal: 4096 kB\nMemFree: 100 kB\nCached: 50 kB\n",
        **{"sys__kernel__mm__hugepages__hugepages-2048kB__nr_hugepages": "7\n"},
    )
    facts = collect(reader)
    assert [cpu.id for cpu in facts.cpus] == [0, 1]
    assert facts.memory[0].total_kib == 4096
    assert facts.memory[0].free_kib == 150
    assert facts.memory[0].hugepages[0].total == 7


def test_what_is_underneath_carries_it_too(tmp_path: Path) -> None:
    """A default route on a VLAN over a bridge over a bond: none of the NICs below may be touched."""
    names = ("eno1", "eno2", "bond0", "br0", "br0.7", "spare")
    for name in names:
        put(tmp_path, **{f"sys__class__net__{name}__address": "02:00:00:00:00:09\n"})
    for port, master in (("eno1", "bond0"), ("eno2", "bond0"), ("bond0", "br0")):
        (tmp_path / f"sys/class/net/{port}/master").symlink_to(f"../{master}")
    (tmp_path / "sys/class/net/br0.7/lower_br0").symlink_to("../br0")
    reader = put(
        tmp_path,
        proc__net__route="Iface\tDestination\tGateway\nbr0.7\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "br0.7\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
        proc__net__fib_trie="Local:\n |-- 192.0.2.9\n    /32 host LOCAL\n",
    )
    for session in ("192.0.2.9", "::ffff:192.0.2.9", ""):
        nics = {nic.name: nic for nic in collect(reader, session).nics}
        assert {name for name, nic in nics.items() if nic.default_route} == set(names) - {"spare"}
        assert {name for name, nic in nics.items() if nic.session} == (set(names) - {"spare"} if session else set())
        assert nics["eno1"].master == "bond0"


def test_a_session_over_a_link_local_address(tmp_path: Path) -> None:
    reader = put(
        tmp_path,
        sys__class__net__eth0__address="02:00:00:00:00:09\n",
        proc__net__if_inet6="fe800000000000000000000000000009 02 40 20 80 eth0\n",
    )
    (nic,) = collect(reader, "fe80::9%eth0").nics
    assert nic.session
    assert nic.addresses == ()


def test_one_subnet_on_two_interfaces_names_both() -> None:
    line = "\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    route = "Iface\n" + "eth0" + line + "eth1" + line + "eth2\t000000C0\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    trie = "Local:\n |-- 192.0.2.9\n    /32 host LOCAL\n |-- 192.0.2.0\n    /24 link UNICAST\n"
    found = interface_addresses(trie, route, "")
    assert found == {"eth0": ("192.0.2.9/24",), "eth1": ("192.0.2.9/24",)}


def test_default_routes_that_refuse_do_not_count() -> None:
    zero = "0" * 32
    ipv6 = f"{zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n{zero} 00 {zero} 00 {zero} 400 1 0 00000003 eth1\n"
    ipv4 = "Iface\neth0\t00000000\t0\t0201\t0\t0\t0\t00000000\t0\t0\t0\neth2\t00000000\t0\tzz\t0\t0\t0\t00000000\n"
    assert default_interfaces(ipv4, ipv6) == {"eth1"}


def test_distribution_quotes() -> None:
    found = parse_distribution('ID=\'debian\'\nVERSION_ID="12"\n# no\nPRETTY_NAME="Debian = 12"\n')
    assert (found.id, found.version, found.codename, found.pretty) == ("debian", "12", "", "Debian = 12")


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_parsers_take_any_text(trie: str, route: str, inet6: str) -> None:
    interface_addresses("|-- 1.2.3.4\n/32 host LOCAL\n" + trie, "Iface\n" + route, inet6)
    default_interfaces("Iface\n" + route, inet6)
    list(local_addresses(trie))
    parse_distribution(trie)


@cache
def files_in(root: Path) -> list[str]:
    return sorted(f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file() and not path.is_symlink())


@given(st.data())
def test_any_text_in_any_file_of_a_snapshot(data: st.DataObject) -> None:
    root = folder("ryzen-5-3600")
    broken = data.draw(st.lists(st.sampled_from(files_in(root)), min_size=1, max_size=6))
    texts = {path: data.draw(st.text(max_size=60)) for path in broken}

    class Broken(SnapshotReader):
        def read(self, path: object) -> str:
            text = super().read(str(path))  # missing stays missing
            return texts.get(str(path), text)

    facts = collect(Broken(root))
    assert sum(len(core.cpus) for core in physical_cores(facts.cpus)) == sum(cpu.online for cpu in facts.cpus)


def test_this_machine_has_a_cpu_and_memory() -> None:
    facts = collect(LocalMachine())
    assert any(cpu.online for cpu in facts.cpus)
    assert facts.memory[0].total_kib > 0


def test_a_snapshot_keeps_inside_its_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "secret").write_text("no")
    reader = put(root, etc__hostname="yes")
    (root / "up").symlink_to("../secret")
    (root / "etc/up").symlink_to("../../../secret")
    (root / "absolute").symlink_to("/etc/hostname")
    (root / "loop").symlink_to("loop")
    assert reader.read("/absolute") == "yes"  # absolute links start at the snapshot's own root
    for path in ("/up", "/etc/up", "/../secret", "/etc/../../secret"):
        with pytest.raises(BadInput, match="leads outside"):
            reader.read(path)
    with pytest.raises(OSError, match="too many links"):
        reader.read("/loop")
    assert not reader.exists("/loop")
    assert reader.link("/up") == "secret"
    with pytest.raises(FileNotFoundError):
        reader.read("/etc")
    assert reader.entries("/etc") == ["hostname", "up"]
    assert reader.entries("/nowhere") == []


def test_a_snapshot_file_has_a_limit(tmp_path: Path) -> None:
    with (tmp_path / "zeros").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(BadInput, match="too large"):
        SnapshotReader(tmp_path).read("/zeros")
