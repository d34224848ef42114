"""The kinds of values a site is made of: sizes, CPU lists, IPv4 networks and addresses, hosts by ssh.

Each is text in the file and a typed value in the model; the parsers are pure and raise ValueError with a
sentence for the user.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ouchi.core.cpulist import format_cpus, parse_cpus
from ouchi.machine.ssh.address import parse_address

_MEMORY = re.compile(r"([0-9]{1,7}) ?(MiB|GiB)")
LEAST_MIB, _MOST_MIB = 64, 1024 * 1024  # of a server

_UNUSABLE = {
    IPv4Network("0.0.0.0/8"): "this network (0.0.0.0/8)",
    IPv4Network("127.0.0.0/8"): "loopback (127.0.0.0/8)",
    IPv4Network("169.254.0.0/16"): "link-local addresses, OpenStack's metadata among them (169.254.0.0/16)",
    IPv4Network("224.0.0.0/3"): "multicast and reserved addresses (224.0.0.0/3)",
}


def parse_memory(text: str) -> int:
    """The size in MiB of ``"256 MiB"`` or ``"4 GiB"``; even, 64 MiB to 1 TiB. Raises ValueError."""
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise ValueError("a size is a whole number followed by MiB or GiB")
    mib = int(match[1]) * (1024 if match[2] == "GiB" else 1)
    if not LEAST_MIB <= mib <= _MOST_MIB:
        raise ValueError("a server's memory is 64 MiB to 1 TiB")
    if mib % 2:
        raise ValueError("memory comes in hugepages of 2 MiB: the number of MiB must be even")
    return mib


def format_memory(mib: int) -> str:
    """`mib` as the file writes it, in GiB where that is a whole number."""
    return f"{mib} MiB" if mib % 1024 else f"{mib // 1024} GiB"


def _pool(text: str) -> tuple[int, ...]:
    cpus = parse_cpus(text)
    if not cpus:
        raise ValueError("a pool that is written down needs at least one CPU; leave the key out to let ouchi choose")
    return cpus


def _network(text: str) -> IPv4Network:
    if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", text):
        raise ValueError("it is not an address and a prefix length")
    try:
        address = IPv4Address(text.partition("/")[0])
        network = IPv4Network(text, strict=False)
    except ValueError as reason:
        raise ValueError(f"it is not an IPv4 network: {reason}") from None
    if not 8 <= network.prefixlen <= 29:
        raise ValueError(f"the prefix length /{network.prefixlen} is not within /8 to /29")
    if address != network.network_address:
        raise ValueError(f"the host bits are not zero; the network of that address is {network}")
    for block, purpose in _UNUSABLE.items():
        if network.overlaps(block):
            raise ValueError(f"it touches {purpose}")
    return network


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError("it is not an IPv4 address") from None


def _from_text(kind: type, parse: Callable[[str], Any]) -> PlainValidator:
    """Text is parsed, what is of the type already is taken, and nothing else."""

    def validate(value: object) -> object:
        if isinstance(value, kind):
            return value
        if isinstance(value, str):
            return parse(value)
        raise PydanticCustomError("text_type", "it must be text")

    return PlainValidator(validate)


CpuList = Annotated[
    tuple[int, ...],
    _from_text(tuple, _pool),
    PlainSerializer(format_cpus, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(-[0-9]+)?( *, *[0-9]+(-[0-9]+)?)*$"}),
]
Subnet = Annotated[
    IPv4Network,
    _from_text(IPv4Network, _network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+){3}/([89]|1[0-9]|2[0-9])$"}),
]
Address = Annotated[
    IPv4Address,
    _from_text(IPv4Address, _address),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "ipv4"}),
]
Memory = Annotated[
    str,
    AfterValidator(lambda text: format_memory(parse_memory(text))),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,7} ?(MiB|GiB)$"}),
]
HostAddress = Annotated[
    str,
    AfterValidator(lambda text: str(parse_address(text))),
    WithJsonSchema(
        {"type": "string", "pattern": r"^([^@\s]+@)?([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[^\]\s]+\])(:[0-9]{1,5})?$"}
    ),
]
