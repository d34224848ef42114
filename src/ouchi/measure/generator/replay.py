"""Prepares captured frames for replay: room for the signature, and valid checksums with it.

The signature replaces the last twelve bytes of every frame. They must be entirely inside or entirely outside of what a
UDP or TCP checksum covers; where they would not be, or would overlap a header, the frame is padded with zeros. The
checksums of IPv4, UDP and TCP, also inside VXLAN and Geneve, are recomputed (with checksum offload a capture at the
sender has none); those of other protocols are left unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ouchi.core.errors import BadInput, Finding, error, info, warning
from ouchi.measure.generator.frames import GENEVE_PORT, SIGNATURE, VXLAN_PORT
from ouchi.measure.generator.imix import MAX_SIZE, MIN_SIZE
from ouchi.measure.generator.pcap import frames_of
from ouchi.measure.generator.rates import FCS
from ouchi.measure.generator.streams import Stream

_ETHERNET = 14
_TAGS = (0x8100, 0x88A8, 0x9100)
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP, _UDP = 6, 17
_BRIDGED = 0x6558  # Ethernet in Geneve
_HOP_BY_HOP, _DESTINATION = 0, 60


@dataclass(frozen=True, slots=True)
class Datagram:
    """A complete UDP or TCP datagram in a frame: byte offsets of its headers, payload and end."""

    ip: int
    version: int
    l4: int
    protocol: int
    payload: int
    end: int


def replay_stream(name: str, content: bytes, where: str) -> tuple[Stream, tuple[Finding, ...]]:
    """A stream of a capture's frames, in order but without their timing, and notes about changes to them.

    ``content``: of the file (:func:`ouchi.measure.generator.pcap.frames_of`), ``where``: its name. Raises
    :class:`BadInput` for an invalid capture, and for frames that cannot be sent.
    """
    captured = frames_of(content, where)
    made = {frame: prepare(frame) for frame in dict.fromkeys(captured)}
    if wrong := tuple(_length_findings(captured, made, where)):
        raise BadInput(wrong)
    frames = tuple(dict.fromkeys(made.values()))
    index = {frame: at for at, frame in enumerate(frames)}
    order = tuple(index[made[frame]] for frame in captured)
    mean = sum(len(made[frame]) + FCS for frame in captured) / len(captured)
    return Stream(name, frames, order, (), mean), tuple(_notes(captured, made, where))


def prepare(frame: bytes) -> bytes:
    """The frame (without FCS) ending with twelve zero bytes, padded if necessary, with valid checksums."""
    headers_end, datagrams = dissect(frame)
    ends = [datagram.end for datagram in datagrams]
    length = max(len(frame), MIN_SIZE - FCS)
    start = length - SIGNATURE
    if start < headers_end or any(start < end < length for end in ends):
        length = max(headers_end, *ends, MIN_SIZE - FCS - SIGNATURE) + SIGNATURE
    data = bytearray(frame[: length - SIGNATURE].ljust(length, b"\0"))
    for datagram in reversed(datagrams):  # an outer checksum covers the inner ones
        _fix(data, datagram)
    return bytes(data)


def dissect(frame: bytes) -> tuple[int, tuple[Datagram, ...]]:
    """The end of the known headers, and the datagrams, outermost first."""
    datagrams: list[Datagram] = []
    at, limit = 0, len(frame)
    while True:
        ethertype, at = _ethernet(frame, at)
        datagram = _datagram(frame, at, ethertype, limit)
        if datagram is None:
            return at + {_IPV4: 20, _IPV6: 40}.get(ethertype, 0), tuple(datagrams)
        datagrams.append(datagram)
        inner = _tunnelled(frame, datagram)
        if inner is None:
            return datagram.payload, tuple(datagrams)
        at, limit = inner, datagram.end


def _u16(data: bytes, at: int) -> int:
    """A 16-bit number in the frame; bytes beyond its end are zero."""
    return int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")


def _ethernet(frame: bytes, at: int) -> tuple[int, int]:
    """The EtherType behind the VLAN tags, and its end."""
    at += _ETHERNET
    while (ethertype := _u16(frame, at - 2)) in _TAGS:
        at += 4
    return ethertype, at


def _datagram(frame: bytes, ip: int, ethertype: int, limit: int) -> Datagram | None:
    """The UDP or TCP datagram at an IP header; None without a complete one."""
    found = _ipv4(frame, ip) if ethertype == _IPV4 else _ipv6(frame, ip) if ethertype == _IPV6 else None
    if found is None:
        return None
    protocol, l4, end = found
    if not l4 + (8 if protocol == _UDP else 20) <= end <= limit:
        return None
    version = 4 if ethertype == _IPV4 else 6
    if protocol == _UDP and _u16(frame, l4 + 4) == end - l4:
        return Datagram(ip, version, l4, protocol, l4 + 8, end)
    if protocol == _TCP and 20 <= (header := (frame[l4 + 12] >> 4) * 4) <= end - l4:
        return Datagram(ip, version, l4, protocol, l4 + header, end)
    return None


def _ipv4(frame: bytes, ip: int) -> tuple[int, int, int] | None:
    """Protocol, start of its header and end of the packet; None for a fragment or an invalid header."""
    if len(frame) < ip + 20 or frame[ip] >> 4 != 4 or frame[ip] & 15 < 5 or _u16(frame, ip + 6) & 0x3FFF:
        return None
    return frame[ip + 9], ip + (frame[ip] & 15) * 4, ip + _u16(frame, ip + 2)


def _ipv6(frame: bytes, ip: int) -> tuple[int, int, int] | None:
    """The same behind extension headers that do not affect checksums; None with others."""
    if len(frame) < ip + 40 or frame[ip] >> 4 != 6:
        return None
    protocol, at, end = frame[ip + 6], ip + 40, ip + 40 + _u16(frame, ip + 4)
    while protocol in (_HOP_BY_HOP, _DESTINATION) and at + 8 <= min(end, len(frame)):
        protocol, at = frame[at], at + (frame[at + 1] + 1) * 8
    return protocol, at, end


def _tunnelled(frame: bytes, datagram: Datagram) -> int | None:
    """The start of a tunnel's inner frame; None for other datagrams."""
    at = datagram.payload
    if datagram.protocol != _UDP or at + 8 > datagram.end:
        return None
    port = _u16(frame, datagram.l4 + 2)
    if port == VXLAN_PORT and frame[at] & 0x08:
        inner = at + 8
    elif port == GENEVE_PORT and frame[at] >> 6 == 0 and _u16(frame, at + 2) == _BRIDGED:
        inner = at + 8 + (frame[at] & 0x3F) * 4
    else:
        return None
    return inner if inner + _ETHERNET <= datagram.end else None


def _fix(data: bytearray, datagram: Datagram) -> None:
    """Recompute the checksums of a datagram and its IPv4 header; UDP without a checksum stays without."""
    ip, l4 = datagram.ip, datagram.l4
    if datagram.version == 4:
        data[ip + 10 : ip + 12] = bytes(2)
        data[ip + 10 : ip + 12] = _checksum(data[ip : ip + (data[ip] & 15) * 4]).to_bytes(2, "big")
        addresses = data[ip + 12 : ip + 20]
    else:
        addresses = data[ip + 8 : ip + 40]
    at = l4 + (6 if datagram.protocol == _UDP else 16)
    if datagram.protocol == _UDP and not any(data[at : at + 2]):
        return
    data[at : at + 2] = bytes(2)
    pseudo = addresses + (datagram.end - l4).to_bytes(4, "big") + datagram.protocol.to_bytes(4, "big")
    checksum = _checksum(pseudo + data[l4 : datagram.end])
    if datagram.protocol == _UDP:
        checksum = checksum or 0xFFFF  # RFC 768: zero means none
    data[at : at + 2] = checksum.to_bytes(2, "big")


def _checksum(data: bytes | bytearray) -> int:
    """RFC 1071: the ones' complement of the ones' complement sum, which is the remainder by 65,535."""
    rest = int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
    return (0xFFFF - rest) % 0xFFFF


def _length_findings(captured: tuple[bytes, ...], made: dict[bytes, bytes], where: str) -> Iterator[Finding]:
    short = [at for at, frame in enumerate(captured, start=1) if len(frame) < _ETHERNET]
    large = [at for at, frame in enumerate(captured, start=1) if len(made[frame]) + FCS > MAX_SIZE]
    if short:
        found, expected = _which(short), f"at least {_ETHERNET} bytes, an Ethernet header"
        yield error("frames are shorter than an Ethernet header", where=where, found=found, expected=expected)
    if large:
        yield error(
            "frames are too large to be sent",
            where=where,
            found=_which(large),
            expected=f"at most {MAX_SIZE:,} bytes with FCS and room for the signature",
            remedy="capture with segmentation offload off: ethtool -K INTERFACE tso off gso off gro off",
        )


def _notes(captured: tuple[bytes, ...], made: dict[bytes, bytes], where: str) -> Iterator[Finding]:
    yield info(f"the generator's signature replaces the last {SIGNATURE} bytes of each frame", where=where)
    longer = [at for at, frame in enumerate(captured, start=1) if len(made[frame]) > len(frame)]
    if longer:
        yield info("frames are padded to make room for the signature", where=where, found=_which(longer))
    bare = {frame: not dissect(frame)[1] for frame in made}
    others = [at for at, frame in enumerate(captured, start=1) if bare[frame]]
    if others:
        yield warning(
            "frames are no complete UDP or TCP datagrams: checksums over their last bytes will be invalid",
            where=where,
            found=_which(others),
        )


def _which(numbers: list[int]) -> str:
    """The number of frames, and the first frame numbers (from 1, as in Wireshark)."""
    first = ", ".join(str(number) for number in numbers[:5])
    return f"{len(numbers):,} (number {first}{', …' if len(numbers) > 5 else ''})"
