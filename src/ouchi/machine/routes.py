"""The host's addresses and subnets in the kernel's lists of routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

_LEAF = re.compile(r"\|--\s+([0-9.]{7,15})\s*$")
_ADDRESS = re.compile(r"[0-9A-Fa-f]{8}")
_LOCAL = re.compile(r"/32\s+host\s+LOCAL")


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
