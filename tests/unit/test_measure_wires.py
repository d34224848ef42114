"""Wires that may be used, and the findings about others."""

from dataclasses import replace

import pytest

from ouchi.core.errors import BadInput
from ouchi.facts import Facts
from ouchi.measure.paths.path import PATHS
from ouchi.measure.paths.wires import Wire, check_wires, is_pci
from tests.plans import facts_of, site_with

TWO = "dual-socket-nic-on-node-1"


def nics() -> tuple[Facts, list[str]]:
    """A host with NICs that are free and bound to vfio-pci, and their addresses."""
    facts = facts_of(TWO)
    free = [nic.address for nic in facts.nics if nic.address and not nic.use]
    nics = tuple(replace(nic, driver="vfio-pci") if nic.address in free else nic for nic in facts.nics)
    return replace(facts, nics=nics), free


def refused(*wires: Wire, facts: Facts | None = None, path: str = "p2p", site: str = "") -> str:
    with pytest.raises(BadInput) as text:
        check_wires(PATHS[path], wires, site_with(site, servers=""), facts or nics()[0])
    return "\n".join(f"{finding.claim}: {finding.found}" for finding in text.value.findings)


def test_virtual_devices_may_stand_for_nics() -> None:
    wires = [Wire("net_af_packet0,iface=a0", "net_af_packet1,iface=a1"), Wire("net_memif0,role=server", "net_ring0")]
    check_wires(PATHS["p2p"], wires, site_with(servers=""), nics()[0])
    check_wires(PATHS["v2v"], [], site_with(servers=""), nics()[0])


def test_nics_of_the_site_may_be_used() -> None:
    facts, free = nics()
    assert len(free) > 1
    site = f'nics: [{{nic: "{free[1]}", physnet: physnet1}}]\n'
    check_wires(PATHS["p2p"], [Wire(free[0], free[1])], site_with(site, servers=""), facts)
    text = refused(Wire(free[1], free[0]), site=site)
    assert "not one of the site's NICs" in text
    assert "OVS uses it" in text


def test_a_path_has_as_many_wires_as_it_needs() -> None:
    assert "needs one or two wires: 0" in refused()
    assert "needs one or two wires: 3" in refused(*[Wire(f"net_null{i}", f"net_null1{i}") for i in range(3)])
    assert "the path v2v has no wires" in refused(Wire("net_null0", "net_null1"), path="v2v")


def test_a_device_is_at_one_end_only() -> None:
    assert "at two ends: net_null0" in refused(Wire("net_null0", "net_null0"))
    twice = Wire("net_af_packet0,iface=veth0", "net_af_packet1,iface=veth0")
    assert "at two ends: veth0" in refused(twice)


def test_what_carries_something_is_refused() -> None:
    facts = facts_of("ryzen-5-3600")
    (used,) = [nic for nic in facts.nics if nic.default_route]
    text = refused(Wire(used.address, "net_null0"), Wire(f"net_af_packet0,iface={used.name}", "net_null1"), facts=facts)
    assert text.count("it carries") == 2


def test_what_is_no_device_and_what_is_not_there_is_refused_at_once() -> None:
    text = refused(Wire("eth0", "0000:ff:1f.7"))
    assert "cannot be at the end of a wire: eth0" in text
    assert "no such NIC: 0000:ff:1f.7" in text


def test_a_nic_of_the_kernel_is_refused_with_the_way_to_bind_it() -> None:
    facts = facts_of(TWO)
    free = next(nic for nic in facts.nics if nic.address and not nic.use and nic.driver not in ("vfio-pci", ""))
    assert f"is bound to a kernel driver: driver {free.driver}" in refused(Wire(free.address, "net_null0"), facts=facts)


def test_what_a_nic_is() -> None:
    assert is_pci("0000:03:00.1")
    assert not is_pci("net_af_packet0,iface=a")
    assert not is_pci("0000:03:00.8")


@pytest.mark.parametrize(
    "device",
    ["net_pcap0,tx_iface=eth0", "net_tap0,remote=eth0", "net_failsafe0,dev(0000:01:00.0)", "net_bonding0,slave=0000:01:00.0",
     "net_af_packet,iface=a", "net_null0 ", "", "net_vhost0,iface=/run/a.sock,x"],
)  # fmt: skip
def test_devices_that_may_reach_for_others_are_refused(device: str) -> None:
    assert "cannot be at the end of a wire" in refused(Wire(device, "net_null9"))
