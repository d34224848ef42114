"""The login to a rig: an ssh configuration with every setting, for ssh itself and for other tools."""

from __future__ import annotations

import re
from pathlib import PurePath

ALIAS = "rig"


def ssh_config(port: int, identity: PurePath, known_hosts: PurePath) -> str:
    """The text of a file for ``ssh -F FILE rig``. ``user@rig`` chooses another user than root."""
    return f"""# A rig of ouchi's, while it is up.
Host {ALIAS}
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile "{identity}"
    IdentitiesOnly yes
    HostKeyAlias {ALIAS}
    UserKnownHostsFile "{known_hosts}"
    StrictHostKeyChecking yes
    ConnectTimeout 10
    ServerAliveInterval 15
    LogLevel ERROR
"""


def port_of(config: str) -> int:
    """The port in a file that :func:`ssh_config` made; 0 where there is none."""
    found = re.search(r"^\s*Port (\d+)$", config, re.MULTILINE)
    return int(found[1]) if found else 0


def known_host(host_key: str) -> str:
    """The line of a known_hosts file for the rig's public key."""
    return f"{ALIAS} {' '.join(host_key.split()[:2])}\n"
