"""Why a remote host cannot be worked on: ssh's own words as a finding."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ouchi.core.errors import BadInput, Failed, Finding, error
from ouchi.machine.ssh.address import Address


class Unreachable(BadInput):
    """There is no connection to the host, or no root behind it; nothing was changed."""


class ConnectionLost(Failed):
    """The connection to the host ended in the middle; what ran there was ended too, as far as that side noticed."""


def unreachable(address: Address, said: str, options: Sequence[str] = ()) -> Unreachable:
    """What the end of a ssh that never got in means; ``options`` are those that it got from the user."""
    words = _shown(said)
    login = shlex.join(("ssh", *options, *_words(address)))
    copy = shlex.join(("ssh-copy-id", *options, *_words(address)))
    if "IDENTIFICATION HAS CHANGED" in said:
        claim, expected = f"{address} shows another host key than before", "the key in known_hosts"
        remedy = f"find out why; if the host was installed anew: ssh-keygen -R {_known_as(address)}, then: {login}"
    elif re.search(r"Host key verification failed|host key is known", said):
        claim, expected = f"the host key of {address} is not known", "a key in known_hosts, compared by you"
        remedy = f"{login}, compare the fingerprint, answer yes; then the same command again"
    elif re.search(r"Permission denied|Too many authentication failures|No supported authentication", said):
        claim, expected = (
            f"{address} does not let us in",
            "a key that it knows, without a passphrase or in an ssh-agent",
        )
        remedy = f"{copy}, then the same command again"
    else:
        claim, expected = f"there is no connection to {address}", "a host that answers by ssh"
        remedy = f"{login} shows more (-v even more)"
    return Unreachable(
        error(claim, where=str(address), found=words or "ssh said nothing", expected=expected, remedy=remedy)
    )


def no_root(address: Address, user_id: int, said: str) -> Unreachable:
    """We are in, but as a user that sudo does not let be root without asking."""
    return Unreachable(
        error(
            f"root is needed on {address}",
            where=str(address),
            found=f"user id {user_id}, and sudo -n: {_shown(said) or 'it failed'}",
            expected="root, or a user whom sudo asks for no password",
            remedy="give root@… as the address, or add a rule with NOPASSWD to sudoers there",
        )
    )


def too_few_sessions(address: Address, doing: str) -> Failed:
    """The host's sshd does not allow what one connection is for: several programs side by side."""
    return Failed(
        error(
            f"{address} allows too few sessions over one connection",
            where=f"{address}: {doing}"[:300],
            found="its sshd refuses a further one",
            expected="MaxSessions 4 or more (sshd's own default is 10)",
            remedy="mend MaxSessions in sshd's configuration there and reload it, then the same command again",
        )
    )


def lost(address: Address, doing: str, said: str) -> ConnectionLost:
    """The connection ended while something ran, or before."""
    return ConnectionLost(_lost(address, doing, said))


def _lost(address: Address, doing: str, said: str) -> Finding:
    return error(
        f"the connection to {address} was lost",
        where=f"{address}: {doing}"[:300],
        found=_shown(said) or "ssh ended and said nothing",
        expected="a connection that lasts to the end",
        remedy="the same command again goes on where this one stopped",
    )


def _shown(said: str) -> str:
    """The last lines that say something, without what would act on a terminal."""
    lines = (re.sub(r"[\x00-\x1f\x7f-\x9f]", "", line).strip() for line in said.splitlines())
    return " | ".join([line for line in lines if line.strip("@ ")][-4:])[:600]


def _words(address: Address) -> tuple[str, ...]:
    port = ("-p", str(address.port)) if address.port else ()
    return (*port, (f"{address.user}@" if address.user else "") + address.host)


def _known_as(address: Address) -> str:
    return f"'[{address.host}]:{address.port}'" if address.port else address.host
