"""Becoming root, through sudo where it is installed."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

from ouchi.core.errors import BadInput

KEPT: Final = ("OUCHI_", "PIP_", "UV_")
KEPT_WHOLE: Final = frozenset(
    {"NO_COLOR", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_CONNECTION"}
    | {name for proxy in ("http_proxy", "https_proxy", "no_proxy", "all_proxy") for name in (proxy, proxy.upper())}
)


def need_root() -> None:
    """Return when running as root; otherwise replace this process by the same command line under sudo.

    Variables for ouchi, colours, proxies and package indexes are kept.
    Raises :class:`~ouchi.core.errors.BadInput` where there is no sudo.
    """
    if os.geteuid() == 0:
        return
    sudo = shutil.which("sudo")
    if sudo is None:
        raise BadInput.of(
            "root is needed",
            found=f"user id {os.geteuid()}, and no sudo on this machine",
            expected="root",
            remedy="run the same command in a root shell (su -)",
        )
    kept = sorted(name for name in os.environ if name in KEPT_WHOLE or name.startswith(KEPT))
    keep = [f"--preserve-env={','.join(kept)}"] if kept else []
    sys.stdout.flush()
    # With -B: bytecode that root writes into the user's checkout could not be removed by the user.
    os.execv(sudo, [sudo, "--user=root", *keep, "--", sys.executable, "-B", *sys.orig_argv[1:]])
