"""Reading a compressed file within bounds on its size before and after decompression."""

from __future__ import annotations

import bz2
import importlib
import lzma
import os
import zlib
from collections.abc import Callable
from typing import Any

from ouchi.core.errors import BadInput
from ouchi.machine.snapshot.tar import damaged, too_much

MOST_PACKED = 32 * 1024 * 1024
"""Bytes of a compressed archive; that of a host with 1024 CPUs has less than one million."""

MOST_UNPACKED = 128 * 1024 * 1024
"""Bytes of an archive once decompressed."""

_MOST_STREAMS = 1000  # parallel compressors write one for each of their blocks
_XZ_MEMORY = 128 * 1024 * 1024  # `xz -9` asks for half of it


Decompressor = Any
"""Those of Python's zlib, bz2, lzma and zstd; each reads one stream, with the same members."""


def read_unpacked(path: str) -> bytes:
    """The content of a file, decompressed when it is gzip, bzip2, xz or zstd.

    Raises :class:`BadInput` when it cannot be opened, is too large, damaged or cut off.
    """
    packed = _read(path)
    make = _decompressor(packed, path)
    if len(packed) > (MOST_PACKED if make else MOST_UNPACKED):
        raise too_much(path, f"more than {(MOST_PACKED if make else MOST_UNPACKED) // 2**20} MiB")
    if make is None:
        return packed
    try:
        return _unpack(packed, make, path)
    except BadInput:
        raise
    except Exception as reason:  # noqa: BLE001  # each of the four libraries has errors of its own
        raise damaged(path, str(reason)[:200], "an archive that decompresses") from None


def _read(path: str) -> bytes:
    try:
        # Checked before it is opened: opening a pipe would wait for its other end.
        if not os.path.isfile(path):
            found = "something else" if os.path.exists(path) else ""
            raise BadInput.of(
                "there is no such snapshot", where=path, found=found, expected="a folder or a tar archive"
            )
        with open(path, "rb") as file:
            return file.read(MOST_UNPACKED + 1)
    except OSError as reason:
        raise BadInput.of(
            "the snapshot cannot be opened", where=path, found=str(reason.strerror), expected="a readable file"
        ) from None


def _decompressor(packed: bytes, path: str) -> Callable[[], Decompressor] | None:
    """The decompressor for a file, by its first bytes; None when it is not compressed."""
    if packed.startswith(b"\x1f\x8b"):
        return lambda: zlib.decompressobj(wbits=31)
    if packed.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if packed.startswith(b"\xfd7zXZ\0"):
        return lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    if packed.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd(path)
    return None


def _zstd(path: str) -> Callable[[], Decompressor]:
    """Python has zstd since 3.14."""
    try:
        make: Callable[[], Decompressor] = importlib.import_module("compression.zstd").ZstdDecompressor
    except ImportError:
        raise BadInput.of(
            "this Python cannot read zstd",
            where=path,
            expected="a tar archive compressed with gzip, bzip2 or xz (zstd needs Python 3.14)",
            remedy=f"zstd -d {path}, and give the tar file",
        ) from None
    return make


def _unpack(packed: bytes, make: Callable[[], Decompressor], path: str) -> bytes:
    """The content of all streams of a file."""
    pieces: list[bytes] = []
    left, rest = MOST_UNPACKED, packed
    for _ in range(_MOST_STREAMS):
        stream = make()
        pieces.append(stream.decompress(rest, left + 1))
        left -= len(pieces[-1])
        if left < 0:
            raise too_much(path, f"more than {MOST_UNPACKED // 2**20} MiB once decompressed")
        if not stream.eof:
            raise damaged(path, f"the compressed data ends early, after {len(packed)} bytes")
        rest = stream.unused_data
        if not rest.startswith(packed[:2]):  # the end, or what tools add there, mostly zeros
            return b"".join(pieces)
    raise damaged(path, f"more than {_MOST_STREAMS} compressed streams")
