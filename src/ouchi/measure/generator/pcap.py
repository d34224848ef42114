"""Reads the frames of a capture: classic pcap and pcapng, in the order in which they were captured.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Only Ethernet, and only complete frames, since they are
sent again; without FCS, as Linux captures them.

Not scapy's readers (2.8): they end silently at damage, keep the interfaces of an earlier pcapng section, and return
simple packets of an interface without a snap length as empty.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ouchi.core.errors import BadInput

MAX_BYTES = 32 << 20
MAX_FRAMES = 20_000

_ETHERNET = 1
_PCAP = {b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">", b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<"}
_SECTION = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6


def frames_of(content: bytes, where: str) -> tuple[bytes, ...]:
    """The frames of a capture, ``content`` being the file's bytes and ``where`` its name.

    Raises :class:`BadInput` for anything but a complete pcap or pcapng file of complete Ethernet frames, at most
    :data:`MAX_FRAMES` of them in :data:`MAX_BYTES`.
    """
    if len(content) > MAX_BYTES:
        raise _wrong("the capture is too large", where, "more", f"at most {MAX_BYTES >> 20} MiB")
    magic = content[:4]
    if magic not in _PCAP and magic != _SECTION:
        raise _wrong("this is not a capture", where, magic.hex(" ") or "an empty file", "a pcap or pcapng file")
    source = _Blocks(content, where) if magic == _SECTION else _Records(content, where, _PCAP[magic])
    frames: list[bytes] = []
    for frame in source.frames():
        if len(frames) == MAX_FRAMES:
            raise _wrong("the capture has too many frames", where, "more", f"at most {MAX_FRAMES:,}")
        frames.append(frame)
    if not frames:
        raise _wrong("the capture is empty", where, "no frames", "at least one")
    return tuple(frames)


def _wrong(claim: str, where: str, found: str, expected: str) -> BadInput:
    return BadInput.of(claim, where=where, found=found, expected=expected)


@dataclass
class _Capture:
    """The bytes of a file and the read position."""

    content: bytes
    where: str
    order: str = "<"
    at: int = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. Raises BadInput when the file ends before."""
        data = self.content[self.at : self.at + count]
        if len(data) < count:
            where = f"{self.where}: byte {self.at:,}"
            raise _wrong("the capture is truncated", where, f"{len(data):,} bytes", f"{count:,}")
        self.at += count
        return data

    def numbers(self, layout: str, data: bytes) -> tuple[int, ...]:
        """Unsigned numbers in the file's byte order from the beginning of ``data``."""
        if struct.calcsize(layout) > len(data):
            raise self.damaged(f"a block of {len(data)} bytes", "a longer one")
        return struct.unpack_from(self.order + layout, data)

    @property
    def position(self) -> str:
        """The read position, for findings."""
        return f"{self.where}: before byte {self.at:,}"

    def damaged(self, found: str, expected: str) -> BadInput:
        """The error about damage at the read position."""
        return _wrong("the capture is damaged", self.position, found, expected)

    def ethernet(self, link: int) -> None:
        """Raise BadInput unless the link type is Ethernet."""
        if link != _ETHERNET:
            claim = "the capture has another link type than Ethernet"
            raise _wrong(claim, self.position, f"link type {link}", "link type 1 (Ethernet)")

    def complete(self, frame: bytes, length: int) -> bytes:
        """The frame; raises BadInput unless it is complete."""
        if len(frame) < length:
            raise BadInput.of(
                "a frame was not captured completely",
                where=self.position,
                found=f"{len(frame):,} of {length:,} bytes",
                expected="complete frames",
                remedy="capture again without a limit: tcpdump -s 0",
            )
        return frame


class _Records(_Capture):
    """Classic pcap: a header and records."""

    def frames(self) -> Iterator[bytes]:
        """Each record's frame."""
        *_, link = self.numbers("IHHIIII", self.take(24))
        self.ethernet(link & 0xFFFF)  # the upper bits are flags and the length of the FCS
        while self.at < len(self.content):
            _, _, captured, length = self.numbers("IIII", self.take(16))
            yield self.complete(self.take(captured), length)


class _Blocks(_Capture):
    """pcapng: sections of blocks; interfaces are described before their packets."""

    def frames(self) -> Iterator[bytes]:
        """Each packet block's frame."""
        interfaces: list[tuple[int, int]] = []  # link type, most bytes captured (0: no limit)
        while self.at < len(self.content):
            kind, body = self._block()
            if kind == int.from_bytes(_SECTION, "big"):
                interfaces = []
            elif kind == _INTERFACE:
                link, _, most = self.numbers("HHI", body)
                interfaces.append((link, most))
            elif kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
                yield self._frame(kind, body, interfaces)

    def _block(self) -> tuple[int, bytes]:
        """The kind and the content of the next block."""
        head = self.take(8)
        if head[:4] == _SECTION:
            byte_order = self.content[self.at : self.at + 4]
            self.order = ">" if byte_order == b"\x1a\x2b\x3c\x4d" else "<"
        kind, length = self.numbers("II", head)
        if length < 12 or length % 4:
            raise self.damaged(f"a block of {length} bytes", "12, 16, 20, …")
        body = self.take(length - 12)
        (trailer,) = self.numbers("I", self.take(4))
        if trailer != length:
            raise self.damaged(f"a block with trailer {trailer}", str(length))
        return kind, body

    def _frame(self, kind: int, body: bytes, interfaces: list[tuple[int, int]]) -> bytes:
        if kind == _SIMPLE_PACKET:
            interface, start, (length,) = 0, 4, self.numbers("I", body)
            captured = length
        elif kind == _PACKET:
            interface, _, _, captured, length = self.numbers("IIIII", body)
            start = 20
        else:
            interface, _, _, _, captured, length = self.numbers("HHIIII", body)
            start = 20
        if interface >= len(interfaces):
            raise self.damaged(f"interface {interface}", "an interface described before")
        link, most = interfaces[interface]
        self.ethernet(link)
        if kind == _SIMPLE_PACKET and most:
            captured = min(captured, most)
        if captured > len(body) - start:
            raise self.damaged(f"a frame of {captured} bytes in {len(body)}", "less")
        return self.complete(body[start : start + captured], length)
