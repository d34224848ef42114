"""Replacing a host's global IP addresses, in files and texts, so that addresses and subnets still fit together.

Private, link-local, loopback and shared addresses stay. Global ones move to the ranges for documentation and benchmarks
(RFC 5737, RFC 3849, RFC 2544): a whole subnet moves to a free one of the same size, with the same host parts, so an
address is in a subnet afterwards exactly when it was before. Routes to other networks are left out: they identify the
owner's other sites, and plans need only the default route and the connected subnets.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from types import MappingProxyType

from ouchi.machine.routes import ipv4, local_addresses, rows, subnets
from ouchi.machine.snapshot.tree import PROBES

ROUTE = "/proc/net/route"
TRIE = "/proc/net/fib_trie"
ROUTE6 = "/proc/net/ipv6_route"
IF_INET6 = "/proc/net/if_inet6"
SESSION = f"{PROBES}/session"
"""The local address of the session in which a snapshot was taken: the probe ``session``."""

_ROOM = tuple(
    IPv4Network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "240.0.0.0/4")
)
_SHORTEST = 8  # a "subnet" with a shorter prefix is a route for half the world
_IPV4_TEXT = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])")
_IPV6_TEXT = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_HEX6 = re.compile(r"[0-9a-fA-F]{32}")


class Addresses:
    """The new addresses of one host. ``files`` are the host's, of which the subnets are read."""

    def __init__(self, files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        self._v4 = Moved4((subnet for _, subnet in subnets(_text(files, ROUTE))), local_addresses(_text(files, TRIE)))
        self._v6 = Moved6()

    def in_files(self, files: Mapping[str, bytes], session: str = "") -> dict[str, bytes]:
        """The files of the host, with new addresses in those that the kernel lists them in.

        ``session`` becomes a file of its own.
        """
        found = dict(files)
        for path, text in (
            (ROUTE, _route(_text(files, ROUTE), self._v4)),
            (TRIE, _trie(_text(files, TRIE), self._v4)),
            (IF_INET6, "".join(f"{_words6(line, (0,), self._v6)}\n" for line in _text(files, IF_INET6).splitlines())),
            (ROUTE6, _route6(_text(files, ROUTE6), self._v6)),
            (SESSION, _session(session, self._v4, self._v6)),
        ):
            if path in files or (text and path == SESSION):
                found[path] = text.encode()
        return found

    def in_text(self, text: str) -> str:
        """Any text with new addresses."""
        text = _IPV4_TEXT.sub(lambda match: self._of_text(match[0]), text)
        return _IPV6_TEXT.sub(lambda match: self._of_text(match[0]), text)

    def _of_text(self, text: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return text
        return str(self._v4.of(address) if isinstance(address, IPv4Address) else self._v6.of(address))


class Moved4:
    """The new IPv4 addresses: outermost subnets move as a whole, other addresses one by one."""

    def __init__(self, subnets: Iterable[IPv4Network], local: Iterable[IPv4Address]) -> None:
        outer_first = sorted({subnet for subnet in subnets if subnet.prefixlen >= _SHORTEST}, key=_size)
        self._taken = [subnet for subnet in outer_first if not _moves(subnet)]
        self._taken += [alone for address in local if not _moves(alone := IPv4Network(address))]
        self._blocks: dict[IPv4Network, IPv4Network] = {}
        for subnet in outer_first:
            if not self._block(subnet):
                self._blocks[subnet] = self._room(subnet) if _moves(subnet) else subnet

    def of(self, address: IPv4Address) -> IPv4Address:
        """The new address."""
        alone = IPv4Network(address)
        block = self._block(alone)
        if not block:
            if not _moves(alone):
                return address
            block, self._blocks[alone] = alone, self._room(alone)
        return self._blocks[block].network_address + (int(address) - int(block.network_address))

    def _block(self, subnet: IPv4Network) -> IPv4Network | None:
        return next((block for block in self._blocks if subnet.subnet_of(block)), None)

    def _room(self, subnet: IPv4Network) -> IPv4Network:
        room = (
            subnet_there
            for whole in _ROOM
            if whole.prefixlen <= subnet.prefixlen
            for subnet_there in whole.subnets(new_prefix=subnet.prefixlen)
            # Not a network's or broadcast address of a /24 for what stands alone.
            if subnet.prefixlen < 31 or 0 < int(subnet_there.network_address) & 0xFF < 254
            if not any(subnet_there.overlaps(other) for other in self._taken)
        )
        free = next(room)  # 240.0.0.0/4 alone has room for more subnets than a host can have
        self._taken.append(free)
        return free


class Moved6:
    """The new IPv6 addresses: global /64 networks are numbered, and so are interface identifiers.

    A generated identifier may contain a MAC address; a short one that a person chose (``::10``) stays.
    """

    def __init__(self) -> None:
        self._networks: dict[int, int] = {}
        self._identifiers: dict[int, int] = {}

    def of(self, address: IPv6Address) -> IPv6Address:
        """The new address."""
        network, identifier = divmod(int(address), 1 << 64)
        if address.is_multicast or address.is_loopback or not int(address):
            return address
        if network >> 61 == 0b001:  # 2000::/3, all that is global
            number = self._networks.setdefault(network, len(self._networks))
            network = 0x20010DB8 << 32 | number << 16
        if identifier >> 16:
            identifier = 1 << 16 | self._identifiers.setdefault(identifier, len(self._identifiers) + 1)
        return IPv6Address(network << 64 | identifier)


def _moves(subnet: IPv4Network) -> bool:
    ends = subnet.network_address, subnet.broadcast_address
    return any(end.is_global and not end.is_multicast for end in ends)


def _size(subnet: IPv4Network) -> tuple[int, IPv4Network]:
    return subnet.prefixlen, subnet


def _route(route: str, moved: Moved4) -> str:
    lines = route.splitlines()[:1]
    for words in rows(route):
        default = words[1] == words[7] == "00000000"
        if words[2] == "00000000" or default:
            for field in (1, 2):
                words[field] = int(moved.of(ipv4(words[field]))).to_bytes(4, "little").hex().upper()
            lines.append("\t".join(words))
    return "".join(f"{line}\n" for line in lines)


def _trie(trie: str, moved: Moved4) -> str:
    """Only the host's own addresses of the routing trie, each once."""
    own = dict.fromkeys(moved.of(address) for address in local_addresses(trie))
    return "Local:\n" + "".join(f"  |-- {address}\n     /32 host LOCAL\n" for address in own)


def _route6(text: str, moved: Moved6) -> str:
    """Only the default routes and the connected subnets."""
    lines = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 10 and (words[1] == "00" or set(words[4]) == {"0"}):
            lines.append(_words6(line, (0, 2, 4), moved))
    return "".join(f"{line}\n" for line in lines)


def _words6(line: str, fields: tuple[int, ...], moved: Moved6) -> str:
    words = line.split()
    for field in fields:
        if field < len(words) and _HEX6.fullmatch(words[field]):
            words[field] = f"{int(moved.of(IPv6Address(int(words[field], 16)))):032x}"
    return " ".join(words)


def _session(session: str, moved4: Moved4, moved6: Moved6) -> str:
    try:
        address = ipaddress.ip_address(session.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv4Address):
        return f"{moved4.of(address)}\n"
    if address.ipv4_mapped:
        return f"{moved4.of(address.ipv4_mapped)}\n"
    return f"{moved6.of(address)}\n"


def _text(files: Mapping[str, bytes], path: str) -> str:
    return files.get(path, b"").decode(errors="replace")
