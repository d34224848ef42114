"""The IP addresses of interfaces from ``/proc/net``, without asking a program.

IPv6 addresses are listed with their interface. IPv4 addresses are only in the routing trie, which does not name
interfaces: an address belongs to the interfaces whose own subnet (a route without gateway) holds it most closely.
Where two interfaces share one subnet both are named: for "may this one be touched" that is the safe answer.
"""

from __future__ import annotations

import ipaddress
import re

_LEAF = re.compile(r"\|--\s+([0-9.]{7,15})")
_LOCAL = re.compile(r"/32\s+host\s+LOCAL")


def interface_addresses(fib_trie: str, route: str, if_inet6: str) -> dict[str, tuple[str, ...]]:
    """Addresses with their prefix by interface: IPv4 by number, then IPv6."""
    found: dict[str, list[str]] = {}
    subnets = _subnets(route)
    for address in local_ipv4(fib_trie):
        holding = [(name, subnet) for name, subnet in subnets if address in subnet]
        longest = max((subnet.prefixlen for _, subnet in holding), default=0)
        for name, subnet in holding:
            if subnet.prefixlen == longest:
                _add(found, name, f"{address}/{longest}")
    for line in if_inet6.splitlines():
        words = line.split()
        if len(words) == 6 and re.fullmatch(r"[0-9a-fA-F]{32}", words[0]) and re.fullmatch(r"[0-9a-fA-F]{2}", words[2]):
            _add(found, words[5], f"{ipaddress.IPv6Address(int(words[0], 16))}/{int(words[2], 16)}")
    return {name: tuple(addresses) for name, addresses in found.items()}


def local_ipv4(fib_trie: str) -> tuple[ipaddress.IPv4Address, ...]:
    """This host's own IPv4 addresses (``/32 host LOCAL`` leaves), loopback left out, ascending."""
    found = set()
    leaf = ""
    for line in fib_trie.splitlines():
        if match := _LEAF.search(line):
            leaf = match[1]
        elif leaf and _LOCAL.search(line):
            try:
                found.add(ipaddress.IPv4Address(leaf))
            except ValueError:
                continue
    return tuple(sorted(address for address in found if not address.is_loopback))


def _subnets(route: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """The directly connected subnets of ``/proc/net/route`` (destination, gateway and mask in host byte order)."""
    found = []
    for line in route.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or words[2] != "00000000" or words[7] == "00000000":
            continue
        try:
            network = ipaddress.IPv4Network((_ipv4(words[1]), str(_ipv4(words[7]))))
        except ValueError:
            continue
        found.append((words[0], network))
    return found


def _ipv4(word: str) -> ipaddress.IPv4Address:
    # Little-endian on every machine that DPDK and ouchi support (x86-64, arm64).
    return ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(word), "little"))


def _add(found: dict[str, list[str]], name: str, address: str) -> None:
    addresses = found.setdefault(name, [])
    if address not in addresses:
        addresses.append(address)
