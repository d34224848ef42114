"""Routes and addresses as ``/proc/net`` shows them."""

from __future__ import annotations

import ipaddress

from tests.hosts.description import Host, Net
from tests.hosts.tree import Tree

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
WIDTH = 127  # the kernel fills each line of /proc/net/route with spaces
LOOPBACK = """\
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
"""
NO_ROUTE = f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo"

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def put_network(tree: Tree, host: Host) -> None:
    """The files of ``/proc/net`` that list routes and addresses."""
    nets = [function.net for function in host.pci if function.net] + list(host.links)
    has = [(net, ipaddress.ip_interface(address)) for net in nets for address in net.addresses]
    v4 = [(net, has_it) for net, has_it in has if isinstance(has_it, ipaddress.IPv4Interface)]
    tree.put("/proc/net/route", _routes(nets, v4))
    tree.put("/proc/net/fib_trie", _trie([interface for _, interface in v4]))
    tree.put("/proc/net/if_inet6", _inet6(nets, has))
    tree.put("/proc/net/ipv6_route", NO_ROUTE)


def _routes(nets: list[Net], v4: list[tuple[Net, ipaddress.IPv4Interface]]) -> str:
    lines = [HEADER]
    lines += [
        f"{net.name}\t00000000\t{_word(ipaddress.IPv4Address(net.gateway))}\t0003\t0\t0\t100\t00000000\t0\t0\t0"
        for net in nets
        if net.gateway
    ]
    for net, interface in v4:
        network = interface.network
        words = f"{_word(network.network_address)}\t00000000\t0001\t0\t0\t100\t{_word(network.netmask)}"
        lines.append(f"{net.name}\t{words}\t0\t0\t0")
    return "".join(f"{line:<{WIDTH}}\n" for line in lines)


def _word(address: ipaddress.IPv4Address) -> str:
    """An address as a little-endian machine prints the word that holds it in network order."""
    return f"{int.from_bytes(address.packed, 'little'):08X}"


def _trie(interfaces: list[ipaddress.IPv4Interface]) -> str:
    """The routing trie: real leaves; inner nodes are one to a subnet, where the kernel would divide further."""
    inner = LOOPBACK
    for interface in sorted(interfaces):
        network = interface.network
        inner += f"     +-- {network} 2 0 2\n"
        inner += f"        |-- {network.network_address}\n           /{network.prefixlen} link UNICAST\n"
        inner += f"        |-- {interface.ip}\n           /32 host LOCAL\n"
        inner += f"        |-- {network.broadcast_address}\n           /32 link BROADCAST\n"
    trie = f"  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n{inner}"
    return f"Main:\n{trie}Local:\n{trie}"


def _inet6(nets: list[Net], has: list[tuple[Net, Interface]]) -> str:
    index = {net.name: number for number, net in enumerate(nets, 2)}
    lines = [f"{1:032x} 01 80 10 80       lo"]
    for net in nets:
        if net.up:
            octets = bytes.fromhex(net.mac.replace(":", ""))
            local = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
            lines.append(f"fe80000000000000{local.hex()} {index[net.name]:02x} 40 20 80 {net.name:>8}")
    for net, interface in has:
        if isinstance(interface, ipaddress.IPv6Interface):
            prefix = interface.network.prefixlen
            lines.append(f"{interface.packed.hex()} {index[net.name]:02x} {prefix:02x} 00 80 {net.name:>8}")
    return "\n".join(lines)
