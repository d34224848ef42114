"""The address of a remote host: ``[user@]host[:port]``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

FORM = "[user@]host[:port], an IPv6 address in brackets; or a Host of the ssh configuration"

# A ProxyCommand of the user's ssh configuration gets these as %r and %h: nothing in them may be special to a shell.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Address:
    """A host, a user and a port; without a user or port (0) the ssh configuration decides."""

    host: str
    user: str = ""
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")


def parse_address(text: str) -> Address:
    """Parse an address. Raises :class:`ValueError` with a message for the user."""
    user, at, rest = text.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise ValueError("the text before @ is not a user name")
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (port and not port.startswith(":")):
            raise ValueError("the text in brackets is not an IPv6 address")
        return Address(host, user, _port(port[1:]) if port else 0)
    if rest.count(":") > 1:
        raise ValueError(
            f"an IPv6 address must be in brackets: [{rest}]" if _is_ipv6(rest) else "there is more than one :"
        )
    host, colon, port = rest.partition(":")
    if not _HOST.fullmatch(host):
        raise ValueError("it is not a host name or address")
    return Address(host, user, _port(port) if colon else 0)


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise ValueError("the port is not a number from 1 to 65535")
    return int(text)


def _is_ipv6(text: str) -> bool:
    address, percent, zone = text.partition("%")
    if percent and not _ZONE.fullmatch(zone):
        return False
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True
