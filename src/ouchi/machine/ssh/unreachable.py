"""The errors of ssh connections, from the messages of ssh."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ouchi.core.errors import BadInput, Failed
from ouchi.core.printable import printable
from ouchi.machine.ssh.address import Address


class Unreachable(BadInput):
    """The host cannot be reached, or only without root; nothing was changed."""


class ConnectionLost(Failed):
    """The connection was lost while something ran; the remote side ends it once it notices."""


def unreachable(address: Address, messages: str, options: Sequence[str] = ()) -> Unreachable:
    """The error for a failed login; ``messages`` is ssh's output, ``options`` are the user's options of ssh."""
    words = _shown(messages)
    login = shlex.join(("ssh", *options, *_words(address)))
    copy = shlex.join(("ssh-copy-id", *options, *_words(address)))
    if "IDENTIFICATION HAS CHANGED" in messages:
        claim, expected = f"the host key of {address} has changed", "the key in known_hosts"
        known_as = f"'[{address.host}]:{address.port}'" if address.port else address.host
        remedy = f"find out why; if the host was installed anew: ssh-keygen -R {known_as}, then: {login}"
    elif re.search(r"Host key verification failed|host key is known", messages):
        claim, expected = f"the host key of {address} is not known", "a key in known_hosts that you have verified"
        remedy = f"{login}, compare the fingerprint, answer yes; then the same command again"
    elif re.search(r"Permission denied|Too many authentication failures|No supported authentication", messages):
        claim, expected = (
            f"{address} refuses the login",
            "an accepted key, without a passphrase or in an ssh-agent",
        )
        remedy = f"{copy}, then the same command again"
    else:
        claim, expected = f"there is no connection to {address}", "a host that accepts ssh connections"
        remedy = f"{login} shows more (-v even more)"
    return Unreachable.of(
        claim, where=str(address), found=words or "no message from ssh", expected=expected, remedy=remedy
    )


def no_root(address: Address, user_id: int, messages: str) -> Unreachable:
    """The error for a login as a user who is not root and for whom sudo needs a password."""
    return Unreachable.of(
        f"root is needed on {address}",
        where=str(address),
        found=f"user id {user_id}, and sudo -n: {_shown(messages) or 'it failed'}",
        expected="root, or a user with sudo without a password",
        remedy="use root@… as the address, or add a NOPASSWD rule to sudoers there",
    )


def too_few_sessions(address: Address, command: str) -> Failed:
    """The error for an sshd that allows too few sessions over one connection to run programs in parallel."""
    return Failed.of(
        f"{address} allows too few sessions over one connection",
        where=f"{address}: {command}"[:300],
        found="its sshd refuses a further one",
        expected="MaxSessions 4 or more (sshd's own default is 10)",
        remedy="raise MaxSessions in its sshd_config and reload sshd, then the same command again",
    )


def lost(address: Address, command: str, messages: str) -> ConnectionLost:
    """The error for a lost connection."""
    return ConnectionLost.of(
        f"the connection to {address} was lost",
        where=f"{address}: {command}"[:300],
        found=_shown(messages) or "ssh ended without a message",
        expected="a connection that lasts to the end",
        remedy="run the same command again: it continues where this one stopped",
    )


def _shown(messages: str) -> str:
    """The last lines that are not empty, without control characters."""
    lines = (printable(line.replace("\r", "")).strip() for line in messages.splitlines())
    return " | ".join([line for line in lines if line.strip("@ ")][-4:])[:600]


def _words(address: Address) -> tuple[str, ...]:
    port = ("-p", str(address.port)) if address.port else ()
    return (*port, (f"{address.user}@" if address.user else "") + address.host)
