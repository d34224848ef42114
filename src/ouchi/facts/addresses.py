"""The IP addresses of interfaces from ``/proc/net``, without asking a program.

IPv6 addresses are listed with their interface. IPv4 addresses are only in the routing trie, which does not name
interfaces: an address belongs to the interfaces whose own subnet (a route without gateway) holds it most closely.
Where two interfaces share one subnet both are named: for "may this one be touched" that is the safe answer.
"""

from __future__ import annotations

import ipaddress
import re

from ouchi.machine.routes import local_addresses, subnets


def interface_addresses(fib_trie: str, route: str, if_inet6: str) -> dict[str, tuple[str, ...]]:
    """Addresses with their prefix by interface: IPv4 by number, then IPv6."""
    found: dict[str, list[str]] = {}
    connected = list(subnets(route))
    for address in sorted({own for own in local_addresses(fib_trie) if not own.is_loopback}):
        holding = [(name, subnet) for name, subnet in connected if address in subnet]
        longest = max((subnet.prefixlen for _, subnet in holding), default=0)
        for name, subnet in holding:
            if subnet.prefixlen == longest:
                _add(found, name, f"{address}/{longest}")
    for line in if_inet6.splitlines():
        words = line.split()
        if len(words) == 6 and re.fullmatch(r"[0-9a-fA-F]{32}", words[0]) and re.fullmatch(r"[0-9a-fA-F]{2}", words[2]):
            _add(found, words[5], f"{ipaddress.IPv6Address(int(words[0], 16))}/{int(words[2], 16)}")
    return {name: tuple(addresses) for name, addresses in found.items()}


def _add(found: dict[str, list[str]], name: str, address: str) -> None:
    addresses = found.setdefault(name, [])
    if address not in addresses:
        addresses.append(address)
