"""What a snapshot leaves out: addresses, serial numbers, kernel parameters."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from ouchi.machine.routes import interface_addresses
from ouchi.machine.snapshot.recorder import Noted
from ouchi.machine.snapshot.redact import Redactor

ROUTE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A805\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000A805\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0
eth1\t000A000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t00003D08\t0200A805\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 8.61.0.0
        /16 universe UNICAST
Local:
     |-- 5.168.2.9
        /32 host LOCAL
     |-- 10.0.10.7
        /32 host LOCAL
"""
IF_INET6 = """2a0104f8000000003efdfefffe6789ab 02 40 00 80     eth0
fe800000000000003efdfefffe6789ab 02 40 20 80     eth0
"""


def private() -> Noted:
    """A host with everything that should not leave it."""
    return Noted(
        files={
            "/proc/cmdline": b'root=UUID=6c0f3b1e-1111-2222-3333-444455556666 ip=5.168.2.9 isolcpus=2-5 password="a b" '
            b"intel_iommu=on hugepagesz=1G hugepages=8 luks.key=geheim nohz_full=2-5 -- init secret\n",
            "/proc/cpuinfo": b"processor : 0\nSerial\t\t: 00000000c0ffee00\nModel\t: Pi\n",
            "/proc/net/route": ROUTE.encode(),
            "/proc/net/fib_trie": TRIE.encode(),
            "/proc/net/if_inet6": IF_INET6.encode(),
            "/sys/devices/virtual/net/eth0/address": b"3c:fd:fe:67:89:ab\n",
            "/sys/devices/virtual/net/enx3cfdfe0a0b0c/address": b"3c:fd:fe:0a:0b:0c\n",
            "/sys/devices/virtual/net/ib0/address": b"80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0b:ad:01\n",
            "/sys/devices/virtual/net/lo/address": b"00:00:00:00:00:00\n",
            "/sys/devices/virtual/dmi/id/product_serial": b"S3R14L\n",
            "/sys/devices/virtual/dmi/id/product_uuid": b"6c0f3b1e-1111-2222-3333-444455556666\n",
            "/sys/devices/virtual/dmi/id/sys_vendor": b"ASUS\n",
            "/sys/devices/pci0000:00/0000:00:01.0/config": bytes(64) + b"SERIAL",
            "/sys/bus/vmbus/id": b"{6c0f3b1e-1111-2222-3333-444455556666}\n",
        },
        links={"/sys/class/net/enx3cfdfe0a0b0c": "../../devices/virtual/net/enx3cfdfe0a0b0c"},
        names={"/sys/class/net/enx3cfdfe0a0b0c", "/sys/class/net/br0/lower_enx3cfdfe0a0b0c"},
    )


def test_secrets_stay_at_home() -> None:
    found = Redactor().host(private(), "5.168.2.9")
    everything = repr(found).lower()
    for secret in (
        "6c0f3b1e", "geheim", "a b", "init", "c0ffee", "s3r14l", "serial", "67:89:ab", "6789ab", "0a:0b:0c", "0a0b0c",
        "0b:ad:01", "5.168", "a805", "2a0104f8", "3d08", "8.61",
    ):  # fmt: skip
        assert secret not in everything, secret
    text = {path: content.decode() for path, content in found.files.items()}
    assert text["/proc/cmdline"] == "isolcpus=2-5 intel_iommu=on hugepagesz=1G hugepages=8 nohz_full=2-5\n"
    assert text["/proc/cpuinfo"] == "processor : 0\nModel\t: Pi\n"
    assert text["/sys/devices/virtual/net/eth0/address"] == "3c:fd:fe:00:00:02\n"
    assert text["/sys/devices/virtual/net/enx3cfdfe000001/address"] == "3c:fd:fe:00:00:01\n"
    assert "/sys/class/net/br0/lower_enx3cfdfe000001" in found.names
    assert found.links["/sys/class/net/enx3cfdfe000001"] == "../../devices/virtual/net/enx3cfdfe000001"
    assert text["/sys/devices/virtual/net/lo/address"] == "00:00:00:00:00:00\n"
    assert text["/sys/devices/virtual/dmi/id/sys_vendor"] == "ASUS\n"


def test_addresses_fit_together_afterwards() -> None:
    found = Redactor().host(private(), "5.168.2.9")
    text = {path: content.decode() for path, content in found.files.items()}
    addresses = interface_addresses(text["/proc/net/fib_trie"], text["/proc/net/route"], text["/proc/net/if_inet6"])
    assert addresses["eth1"] == ("10.0.10.7/24",)  # private addresses stay
    # A /22 is too large for the ranges of RFC 5737; the address keeps its place in it. Both IPv6 addresses have the
    # same identifier, made from the MAC address, and so have both afterwards.
    assert addresses["eth0"] == ("198.18.2.9/22", "2001:db8::1:1/64", "fe80::1:1/64")
    assert text["/.ouchi/session"] == "198.18.2.9\n"


@st.composite
def networks(draw: st.DrawFn) -> list[tuple[str, ipaddress.IPv4Interface]]:
    """Interfaces with addresses, some nested, some global."""
    firsts = st.sampled_from(
        ["5.168.0.0", "10.1.0.0", "192.0.2.0", "198.18.0.0", "81.2.69.0", "203.0.113.0", "8.8.8.0"]
    )
    found = []
    for number in range(draw(st.integers(1, 5))):
        low = draw(st.integers(1, 4000))
        base = int(ipaddress.IPv4Address(draw(firsts)))
        found.append((f"eth{number}", ipaddress.IPv4Interface((base + low, draw(st.integers(15, 30))))))
    return found


@given(networks())
def test_an_address_is_in_a_subnet_exactly_when_it_was_before(found: list[tuple[str, ipaddress.IPv4Interface]]) -> None:
    def word(address: ipaddress.IPv4Address) -> str:
        return int(address).to_bytes(4, "little").hex().upper()

    route = "Iface\tDestination\n" + "".join(
        f"{name}\t{word(it.network.network_address)}\t00000000\t0001\t0\t0\t0\t{word(it.netmask)}\t0\t0\t0\n"
        for name, it in found
    )
    trie = "Local:\n" + "".join(f" |-- {it.ip}\n    /32 host LOCAL\n" for _, it in found)
    before = interface_addresses(trie, route, "")
    files = (
        Redactor()
        .host(
            Noted(files={"/proc/net/route": route.encode(), "/proc/net/fib_trie": trie.encode()}), str(found[0][1].ip)
        )
        .files
    )
    after = interface_addresses(files["/proc/net/fib_trie"].decode(), files["/proc/net/route"].decode(), "")

    def shape(addresses: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
        return {name: sorted(address.split("/")[1] for address in held) for name, held in addresses.items()}

    assert shape(after) == shape(before)
    moved = {address.split("/")[0] for held in after.values() for address in held}
    assert len(moved) == len({address.split("/")[0] for held in before.values() for address in held})
    assert not any(ipaddress.ip_address(address).is_global for address in moved)
    assert files["/.ouchi/session"].decode().strip() in moved
