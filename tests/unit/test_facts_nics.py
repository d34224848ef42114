"""NICs: ids, links, VFs, IOMMU groups, queues, and NICs without an interface."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.facts import Nic, PcieLink, collect
from ouchi.facts.pci import DEVICES, GROUPS, MOST_MATES
from ouchi.machine import Result, probes
from ouchi.machine.local import LocalMachine
from ouchi.report.facts import facts_text
from tests.hosts.tree import Tree

X710 = {
    "class": "0x020000",
    "vendor": "0x8086",
    "device": "0x1572",
    "subsystem_vendor": "0x8086",
    "subsystem_device": "0x0001",
    "numa_node": -1,
    "current_link_speed": "8.0 GT/s PCIe",
    "current_link_width": 4,
    "max_link_speed": "8.0 GT/s PCIe",
    "max_link_width": 8,
    "sriov_totalvfs": 64,
    "sriov_numvfs": 2,
}


def put_function(tree: Tree, address: str, group: int = -1, driver: str = "", **files: str | int) -> str:
    """A PCI function; returns its folder."""
    folder = f"/sys/devices/pci0000:00/{address}"
    tree.put_all(folder, {"uevent": f"PCI_SLOT_NAME={address}\n", **files})
    tree.point(f"{DEVICES}/{address}", folder)
    if driver:
        tree.point(f"{folder}/driver", f"/sys/bus/pci/drivers/{driver}")
    if group >= 0:
        tree.point(f"{folder}/iommu_group", f"{GROUPS}/{group}")
        tree.point(f"{GROUPS}/{group}/devices/{address}", folder)
    return folder


def put_interface(tree: Tree, name: str, device: str, *, rx: int = 0, tx: int = 0, **files: str | int) -> None:
    folder = f"{device}/net/{name}"
    tree.put_all(folder, {"address": "02:00:00:00:00:01", "operstate": "up", "flags": "0x1003", **files})
    tree.point(f"{folder}/device", device)
    tree.point(f"/sys/class/net/{name}", folder)
    for queue in [*(f"rx-{number}" for number in range(rx)), *(f"tx-{number}" for number in range(tx))]:
        tree.put(f"{folder}/queues/{queue}/tx_timeout", "0")


def x710() -> Tree:
    """Two ports in one IOMMU group below a bridge, one bound to VFIO; a VF of the first; a Wi-Fi NIC."""
    tree = Tree()
    put_function(tree, "0000:00:01.0", group=15, driver="pcieport", **{"class": "0x060400"})
    first = put_function(tree, "0000:05:00.0", group=15, driver="i40e", **X710)
    put_function(tree, "0000:05:00.1", group=15, driver="vfio-pci", **X710)
    virtual = put_function(tree, "0000:05:02.0", group=16, **{"class": "0x020000", "vendor": "0x8086"})
    tree.put_all(virtual, {"current_link_speed": "Unknown", "current_link_width": 0, "max_link_width": 255})
    tree.point(f"{virtual}/physfn", first)
    put_function(tree, "0000:09:00.0", **{"class": "0x028000"})
    put_interface(tree, "enp5s0f0", first, rx=12, tx=12, speed=10000)
    tree.put("/.ouchi/ethtool/enp5s0f0", "driver: i40e\nversion: 6.1\nfirmware: 9.20 0x8000d8b5\nbus: 0000:05:00.0\n")
    return tree


def nics(tree: Tree) -> dict[str, Nic]:
    return {nic.address: nic for nic in collect(tree).nics}


def test_what_a_nic_is() -> None:
    pnic = nics(x710())["0000:05:00.0"]
    assert (pnic.name, pnic.driver, pnic.vendor, pnic.device, pnic.subsystem) == (
        "enp5s0f0", "i40e", "8086", "1572", "8086:0001",
    )  # fmt: skip
    assert pnic.pcie == PcieLink(8.0, 4, 8.0, 8)
    assert (pnic.vfs_total, pnic.vfs_now, pnic.pf) == (64, 2, "")
    assert (pnic.rx_queues, pnic.tx_queues, pnic.speed_mbps) == (12, 12, 10000)
    assert pnic.firmware == "9.20 0x8000d8b5"
    assert (pnic.node, pnic.node_known) == (0, False)


def test_iommu_groups_leave_bridges_out() -> None:
    pnics = nics(x710())
    assert (pnics["0000:05:00.0"].iommu_group, pnics["0000:05:00.0"].group_with) == (15, ("0000:05:00.1",))
    assert (pnics["0000:05:02.0"].iommu_group, pnics["0000:05:02.0"].group_with) == (16, ())
    assert pnics["0000:09:00.0"].iommu_group == -1


def test_nics_without_an_interface_come_last() -> None:
    found = collect(x710()).nics
    assert [nic.address for nic in found] == ["0000:05:00.0", "0000:05:00.1", "0000:05:02.0", "0000:09:00.0"]
    bound, virtual = found[1], found[2]
    assert (bound.name, bound.driver, bound.physical, bound.up) == ("", "vfio-pci", True, False)
    assert (bound.session, bound.default_route, bound.addresses) == (False, False, ())
    assert (virtual.driver, virtual.pf, virtual.pcie) == ("", "0000:05:00.0", None)


def test_a_virtio_interface_is_its_function_and_listed_once() -> None:
    tree = Tree()
    function = put_function(tree, "0000:00:03.0", driver="virtio-pci", **X710 | {"vendor": "0x1af4", "numa_node": 0})
    tree.put(f"{function}/virtio2/uevent", "DRIVER=virtio_net\n")
    tree.point(f"{function}/virtio2/driver", "/sys/bus/virtio/drivers/virtio_net")
    put_interface(tree, "eth0", f"{function}/virtio2", rx=1, tx=1, speed=-1)
    (nic,) = collect(tree).nics
    assert (nic.name, nic.address, nic.driver, nic.vendor) == ("eth0", "0000:00:03.0", "virtio_net", "1af4")
    assert (nic.node, nic.node_known, nic.speed_mbps) == (0, True, 0)


PAIRS = """\
link irdma0/1 lqpn 1 type GSI state RTS sq-psn 0 comm [ib_core]
link irdma0/1 lqpn 17 rqpn 18 type RC state RTS rq-psn 3048994 sq-psn 2934143 path-mig-state MIGRATED comm [rdma_cm]
link irdma0/1 lqpn 5 pdn 4 rqpn 18 type RC state INIT sq-psn 0 path-mig-state MIGRATED pid 7 comm waiting
link irdma0/1 lqpn 6 pdn 5 rqpn 19 type RC state RTS sq-psn 0 path-mig-state MIGRATED pid 8 comm ovs-vswitchd
link rxe0/1 lqpn 17 pdn 8 rqpn 18 type RC state RTS rq-psn 1 sq-psn 2 path-mig-state MIGRATED pid 1310 comm \x1brping
link nobody/1 lqpn 17 type RC state RTS sq-psn 2 comm rping
no line of it
"""


def test_who_has_rdma_connections() -> None:
    """By the PCI function of an RDMA device, or the interface that one of software is made of."""
    tree = x710()
    put_interface(tree, "eth7", "/sys/devices/virtual/net/eth7", rx=1, tx=1)
    tree.point("/sys/class/infiniband/irdma0/device", "/sys/devices/pci0000:00/0000:05:00.0")
    tree.put("/sys/class/infiniband/rxe0/parent", "eth7\n")
    tree.put("/.ouchi/rdma", PAIRS)
    found = {nic.name or nic.address: nic.rdma for nic in collect(tree).nics if nic.rdma}
    assert found == {"enp5s0f0": ("the kernel (rdma_cm)",), "eth7": ("rping",)}
    nic = nics(tree)["0000:05:00.0"]
    assert nic.uses == ("carries RDMA connections of the kernel (rdma_cm)",)


def test_software_interfaces_are_asked_nothing_more() -> None:
    requested = []

    class Requested(Tree):
        def probe(self, name: str) -> str:
            requested.append(name)
            return super().probe(name)

    tree = Requested()
    tree.put_all("/sys/class/net/tap0", {"address": "02:00:00:00:00:02", "operstate": "up", "speed": 10})
    (nic,) = collect(tree).nics
    assert (nic.physical, nic.speed_mbps, nic.iommu_group, nic.pcie) == (False, 0, -1, None)
    assert requested == ["ovs-version"]


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("current_link_speed", "Unknown speed", "pcie", PcieLink(0.0, 4, 8.0, 8)),
        ("current_link_speed", "2.5 GT/s", "pcie", PcieLink(2.5, 4, 8.0, 8)),
        ("max_link_speed", "64.0 GT/s PCIe", "pcie", PcieLink(8.0, 4, 64.0, 8)),
        ("max_link_width", "255", "pcie", PcieLink(8.0, 4, 8.0, 0)),
        ("vendor", "8086", "vendor", ""),
        ("vendor", "0x80861", "vendor", ""),
        ("device", "0x15FF", "device", "15ff"),
        ("subsystem_vendor", "", "subsystem", ""),
        ("sriov_totalvfs", "-1", "vfs_total", 0),
        ("numa_node", "one", "node", 0),
        ("class", "0x02", "vendor", "8086"),
    ],
)
def test_odd_files(name: str, text: str, field: str, value: Any) -> None:
    tree = x710()
    tree.put(f"/sys/devices/pci0000:00/0000:05:00.0/{name}", text)
    assert getattr(nics(tree)["0000:05:00.0"], field) == value


def test_a_firmware_that_the_driver_does_not_tell() -> None:
    tree = x710()
    tree.put("/.ouchi/ethtool/enp5s0f0", "driver: r8169\nfirmware: N/A\n")
    assert nics(tree)["0000:05:00.0"].firmware == ""


def test_a_group_of_thousands_stays_small() -> None:
    tree = x710()
    for number in range(3000):
        tree.point(f"{GROUPS}/15/devices/{number:04x}:ff:1f.7", "/sys/devices/none")
    tree.point(f"{GROUPS}/15/devices/not-pci", "/sys/devices/none")
    assert len(nics(tree)["0000:05:00.0"].group_with) <= MOST_MATES


@given(st.data())
def test_any_bytes_in_any_file(data: st.DataObject) -> None:
    tree = x710()
    for path in data.draw(st.lists(st.sampled_from(sorted(tree.files)), min_size=1, max_size=8, unique=True)):
        tree.put(path, data.draw(st.binary(max_size=40)).decode(errors="replace"))
    facts = collect(tree)
    assert "enp5s0f0" in {nic.name for nic in facts.nics}
    assert facts_text(facts, 80)


def test_the_page_shows_what_nics_can_do() -> None:
    text = facts_text(collect(x710()), 160, colour=False)
    rows = [line for line in text.splitlines() if line.startswith("0000:05:00.0")]
    assert len(rows) == 1
    for part in ("8086:1572", "8 GT/s ×4 of 8 GT/s ×8", "12", "2 of 64", "15 with 0000:05:00.1"):
        assert part in rows[0]
    assert "up, 10 Gb/s" in next(line for line in text.splitlines() if line.startswith("enp5s0f0"))
    assert "of 0000:05:00.0" in next(line for line in text.splitlines() if line.startswith("0000:05:02.0"))
    assert "firmware of 0000:05:00.0: 9.20 0x8000d8b5\n" in text
    assert "DPDK of 0000:05:00.0, 0000:05:00.1: " in text


def test_probes_of_this_machine() -> None:
    machine = LocalMachine()
    for name in (
        "ethtool/no-such-nic",
        "ethtool/",
        "ethtool/" + "x" * 16,
        "ethtool/" + "é" * 15,
        "ethtool/\udcff",
        "what",
        "",
        "../x",
    ):
        assert machine.probe(name) == ""
    for _, interface in socket.if_nameindex():
        output = machine.probe(f"ethtool/{interface}")
        keys = [line.partition(": ")[0] for line in output.splitlines()]
        assert keys in ([], ["driver", "version", "firmware", "bus"], [*keys[:4], "rx queues", "tx queues"])


def test_queues_are_as_many_as_the_driver_counts_or_as_there_are_folders() -> None:
    tree = x710()
    tree.put("/.ouchi/ethtool/enp5s0f0", "driver: i40e\nrx queues: 6\ntx queues: 8\n")
    pnic = nics(tree)["0000:05:00.0"]
    assert (pnic.rx_queues, pnic.tx_queues) == (6, 8)
    here = LocalMachine()
    for nic in collect(here).nics:
        folders = here.entries(f"/sys/class/net/{nic.name}/queues") if nic.name and nic.physical else []
        assert nic.rx_queues == sum(folder.startswith("rx-") for folder in folders)
        assert nic.tx_queues == sum(folder.startswith("tx-") for folder in folders)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("ovs-vsctl (Open vSwitch) 3.1.0\nDB Schema 8.3.1\n", "3.1.0"),
        ("ovs-vsctl (Open vSwitch) 3.3.90-dirty\n", "3.3.90"),
        ("nothing of the kind", ""),
        ("", ""),
    ],
)
def test_the_version_that_ovs_vsctl_says(output: str, version: str) -> None:
    def run(argv: tuple[str, ...], **options: float) -> Result:
        assert argv == ("ovs-vsctl", "--version")
        assert options["timeout"] > 0
        return Result(argv, 0, output, "")

    assert probes.local_probe(run, "ovs-version") == version


def test_no_open_vswitch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert LocalMachine().probe("ovs-version") == ""


@pytest.mark.parametrize("width", [80, 92, 100, 120])
def test_nothing_of_the_nics_is_lost_on_a_narrow_page(width: int) -> None:
    def ink(text: str) -> list[str]:
        return sorted(text.replace("─", "").replace(" ", "").replace("\n", ""))

    facts = collect(x710())
    text = facts_text(facts, width, colour=False)
    assert ink(text) == ink(facts_text(facts, 400, colour=False))
    assert max(map(len, text.splitlines())) <= width


def test_what_is_no_pci_address_is_not_taken_for_one() -> None:
    """The address goes into scripts that are rendered for the host."""
    tree = x710()
    tree.put("/sys/devices/pci0000:00/0000:05:00.0/uevent", "PCI_SLOT_NAME=$(reboot)\n")
    (nic,) = [nic for nic in collect(tree).nics if nic.name]
    assert nic.address == ""
