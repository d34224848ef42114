"""Frame sizes: one, or a mix of several in a fixed order (an IMIX genome, RFC 6985).

Mixes named "IMIX" differ in their mean size, and so in every bit rate: results name the genome.
"""

from __future__ import annotations

from ouchi.core.errors import BadInput

MIN_SIZE = 64
MAX_SIZE = 9000

_LETTERS = {"a": 64, "b": 128, "c": 256, "d": 512, "e": 1024, "f": 1280, "g": 1518, "h": 2112, "i": 9000}
"""RFC 6985, section 4, up to the largest supported frame; j would be 16,000 bytes, z the path's MTU."""

_MIXED = "abaabacababa"  # 7:4:1, the sizes as evenly spread as they can be
_NAMED = {
    "imix": (_MIXED, {"a": 64, "b": 594, "c": 1518}),  # NFVbench, TRex: 7:4:1
    "imix-csit": (_MIXED, {"a": 64, "b": 570, "c": 1518}),  # FD.io CSIT's IMIX_v4_1: 28:16:4
    "imix-vsperf": ("aaaaaaaddddg", _LETTERS),  # OPNFV vsperf's default genome
}
_MAX_LETTERS = 1000


def genome(text: str, *, where: str = "frame size") -> tuple[int, ...]:
    """The frame sizes of a text, in bytes (with FCS and VLAN tags), in the order in which they are sent repeatedly.

    The text is a number of bytes, a named mix, or a genome in RFC 6985's letters. Names: ``imix`` (7:4:1 of 64, 594 and
    1518), ``imix-csit`` (28:16:4 of 64, 570 and 1518), ``imix-vsperf`` (``aaaaaaaddddg``). Letters: a 64, b 128, c 256,
    d 512, e 1024, f 1280, g 1518, h 2112, i 9000. Raises :class:`BadInput` for anything else.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        # int() refuses very long numbers.
        size = int(text) if len(text) <= 9 else MAX_SIZE + 1
        if not MIN_SIZE <= size <= MAX_SIZE:
            expected = f"{MIN_SIZE} to {MAX_SIZE} bytes, FCS and VLAN tags included"
            raise BadInput.of("the frame size is out of range", where=where, found=text[:60], expected=expected)
        return (size,)
    order, letters = _NAMED.get(text.lower(), (text, _LETTERS))
    if not order or len(order) > _MAX_LETTERS or set(order) - set(letters):
        known = ", ".join(f"{letter} {size}" for letter, size in _LETTERS.items())
        raise BadInput.of(
            "neither a frame size nor a mix of sizes",
            where=where,
            found=text[:60] or "nothing",
            expected=f"bytes, {', '.join(_NAMED)}, or up to {_MAX_LETTERS} letters of RFC 6985 ({known})",
        )
    return tuple(letters[letter] for letter in order)
