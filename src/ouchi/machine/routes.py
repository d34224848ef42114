"""The host's addresses and subnets in the kernel's lists of them, from ``/proc/net``, without asking a program.

IPv6 addresses are listed with their interface. IPv4 addresses are only in the routing trie, which does not name
interfaces: an address belongs to the interfaces whose own subnet (a route without gateway) holds it most closely.
Where two interfaces share one subnet both are named: for "may this one be touched" that is the safe answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address

_LEAF = re.compile(r"\|--\s+([0-9.]{7,15})\s*$")
_ADDRESS = re.compile(r"[0-9A-Fa-f]{8}")
_LOCAL = re.compile(r"/32\s+host\s+LOCAL")


def interface_addresses(fib_trie: str, route: str, if_inet6: str) -> dict[str, tuple[str, ...]]:
    """Addresses with their prefix by interface: IPv4 by number, then IPv6."""
    found: dict[str, dict[str, None]] = {}
    connected = list(subnets(route))
    for address in sorted({own for own in local_addresses(fib_trie) if not own.is_loopback}):
        holding = [(name, subnet) for name, subnet in connected if address in subnet]
        longest = max((subnet.prefixlen for _, subnet in holding), default=0)
        for name, subnet in holding:
            if subnet.prefixlen == longest:
                found.setdefault(name, {})[f"{address}/{longest}"] = None
    for line in if_inet6.splitlines():
        words = line.split()
        if len(words) == 6 and re.fullmatch(r"[0-9a-fA-F]{32}", words[0]) and re.fullmatch(r"[0-9a-fA-F]{2}", words[2]):
            found.setdefault(words[5], {})[f"{IPv6Address(int(words[0], 16))}/{int(words[2], 16)}"] = None
    return {name: tuple(addresses) for name, addresses in found.items()}


def local_addresses(fib_trie: str) -> Iterator[IPv4Address]:
    """The host's own addresses in ``/proc/net/fib_trie`` (``/32 host LOCAL`` leaves), in its order, some twice."""
    leaf = ""
    for line in fib_trie.splitlines():
        if match := _LEAF.search(line):
            leaf = match[1]
        elif leaf and _LOCAL.search(line):
            try:
                yield IPv4Address(leaf)
            except ValueError:
                continue


def rows(route: str) -> Iterator[list[str]]:
    """The words of each line of ``/proc/net/route`` whose destination (1), gateway (2) and mask (7) can be read."""
    for line in route.splitlines()[1:]:
        words = line.split()
        if len(words) >= 8 and all(_ADDRESS.fullmatch(words[field]) for field in (1, 2, 7)):
            yield words


def subnets(route: str) -> Iterator[tuple[str, IPv4Network]]:
    """The directly connected subnets of ``/proc/net/route``, each after its interface."""
    for words in rows(route):
        if words[2] == "00000000" and words[7] != "00000000":
            try:
                yield words[0], IPv4Network((ipv4(words[1]), str(ipv4(words[7]))))
            except ValueError:
                continue


def ipv4(word: str) -> IPv4Address:
    """An address of ``/proc/net/route``."""
    # Little-endian on every machine that DPDK and ouchi support (x86-64, arm64).
    return IPv4Address(int.from_bytes(bytes.fromhex(word), "little"))
