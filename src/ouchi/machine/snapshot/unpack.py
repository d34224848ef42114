"""The bytes inside a compressed file, with bounds on what is read and on what it may grow to."""

from __future__ import annotations

import bz2
import importlib
import lzma
import os
import zlib
from collections.abc import Callable
from typing import Protocol

from ouchi.core.errors import BadInput, error
from ouchi.machine.snapshot.tar import damaged

MOST_PACKED = 32 * 1024 * 1024
"""Bytes of an archive as it lies on the disk; that of a host with 1024 CPUs has less than one million."""

MOST_UNPACKED = 128 * 1024 * 1024
"""Bytes of an archive once decompressed."""

_TAKEN = 64 * 1024  # bytes decompressed at once
_GIVEN = 1024 * 1024  # bytes that they may become at once
_MOST_STREAMS = 10_000  # parallel compressors write one for each of their blocks
_XZ_MEMORY = 128 * 1024 * 1024  # `xz -9` asks for half of it

ZSTD = b"\x28\xb5\x2f\xfd"


class Decompressor(Protocol):
    """What the decompressors of Python's bz2, lzma and zstd have in common."""

    @property
    def eof(self) -> bool:
        """The stream's own end was reached."""

    @property
    def needs_input(self) -> bool:
        """There is nothing more to be had from what was given."""

    @property
    def unused_data(self) -> bytes:
        """What follows the stream's end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so many of the next bytes."""


class _Gzip:
    """zlib's decompressor with the manners of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self._rest = b""
        self._full = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest and not self._full  # full: zlib itself may hold more

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        text = self._zlib.decompress(self._rest + data, max_length)
        self._rest = self._zlib.unconsumed_tail
        self._full = len(text) == max_length
        return text


def read_unpacked(path: str) -> bytes | bytearray:
    """The content of a file, decompressed when it is gzip, bzip2, xz or zstd.

    Raises :class:`BadInput` when it cannot be opened, is too large, damaged or cut off.
    """
    packed = _read(path)
    made = _decompressor(packed, path)
    if made is None:
        if len(packed) > MOST_UNPACKED:
            raise _too_large(path, MOST_UNPACKED)
        return packed
    try:
        return _unpack(packed, made, path)
    except BadInput:
        raise
    except Exception as reason:  # noqa: BLE001  # each of the four libraries has errors of its own
        raise damaged(path, str(reason)[:200], "an archive that decompresses") from None


def _read(path: str) -> bytes:
    try:
        # Looked at before it is opened: opening a pipe would wait for its other end.
        if not os.path.isfile(path):
            found = "something else" if os.path.exists(path) else ""
            raise BadInput(
                error("there is no such snapshot", where=path, found=found, expected="a folder or a tar archive")
            )
        with open(path, "rb") as file:
            packed = file.read(MOST_UNPACKED + 1)
    except OSError as reason:
        raise BadInput(
            error("the snapshot cannot be opened", where=path, found=str(reason.strerror), expected="a readable file")
        ) from None
    return packed


def _decompressor(packed: bytes, path: str) -> Callable[[], Decompressor] | None:
    """What decompresses a file, by its first bytes; None when it is not compressed."""
    if packed.startswith(b"\x1f\x8b"):
        return _Gzip
    if packed.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if packed.startswith(b"\xfd7zXZ\0"):
        return lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    if packed.startswith(ZSTD):
        return _zstd(path)
    return None


def _zstd(path: str) -> Callable[[], Decompressor]:
    """Python has zstd since 3.14."""
    try:
        make: Callable[[], Decompressor] = importlib.import_module("compression.zstd").ZstdDecompressor
    except ImportError:
        raise BadInput(
            error(
                "this Python cannot read zstd",
                where=path,
                expected="a tar archive compressed with gzip, bzip2 or xz (zstd needs Python 3.14)",
                remedy=f"zstd -d {path}, and give the tar file",
            )
        ) from None
    return make


def _unpack(packed: bytes, make: Callable[[], Decompressor], path: str) -> bytearray:
    if len(packed) > MOST_PACKED:
        raise _too_large(path, MOST_PACKED)
    unpacked = bytearray()
    at = 0
    for _ in range(_MOST_STREAMS):
        machine = make()
        while not machine.eof:
            piece = packed[at : at + _TAKEN] if machine.needs_input else b""
            if machine.needs_input and not piece:
                raise damaged(path, f"the compressed data ends early, after {len(packed)} bytes")
            at += len(piece)
            unpacked += machine.decompress(piece, _GIVEN)
            if len(unpacked) > MOST_UNPACKED:
                raise _too_large(path, MOST_UNPACKED, " once decompressed")
        at -= len(machine.unused_data)
        if packed[at : at + 2] != packed[:2]:  # the end, or what tools add there, mostly zeros
            return unpacked
    raise damaged(path, f"more than {_MOST_STREAMS} compressed streams")


def _too_large(path: str, most: int, when: str = "") -> BadInput:
    return BadInput(
        error(
            "the snapshot is too large",
            where=path,
            found=f"more than {most // 2**20} MiB{when}",
            expected="an archive of the files that `ouchi inspect --save FILE` writes",
        )
    )
