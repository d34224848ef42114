"""The users whose folders root may write into for them: its own, and those of the user who called sudo.

The owner of a folder can put a link in the place of any name in it, at any time; so can everybody in a folder like
``/tmp``. A file that root writes there could be anywhere.
"""

from __future__ import annotations

import os


def trusted_uids() -> frozenset[int]:
    """Root, this process's user and, for root, the user who called sudo (``SUDO_UID``)."""
    uid = os.geteuid()
    sudo = os.environ.get("SUDO_UID", "") if uid == 0 else ""
    return frozenset({0, uid} | ({int(sudo)} if sudo.isascii() and sudo.isdecimal() and len(sudo) < 11 else set()))
