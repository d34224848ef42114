"""Each machine is changed once, and this one never as if it were another: whatever ssh's configuration calls it."""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.core.errors import Finding, error
from ouchi.flows.site_host import SiteHost
from ouchi.machine.identity import identity
from ouchi.machine.local import LocalMachine


def refusal(host: SiteHost, own: str, others: Sequence[tuple[SiteHost, str]]) -> Finding | None:
    """Why a host is not to be changed by this name; ``own`` and those of ``others`` are their identities."""
    where = host.site.where("address") if host.site else ""
    same = [other.name for other, theirs in others if other is not host and theirs == own]
    if same:
        return error(
            f"{host.name} and {', '.join(same)} are the same machine",
            where=where,
            found=host.address or "this machine",
            expected="each machine once in the file",
            remedy=f"take one of them out, or choose: --host {host.name}",
        )
    if host.address and own == identity(LocalMachine()):
        return error(
            f"{host.name} is this machine itself",
            where=where,
            found=host.address,
            expected="no address: how you reach the machine is then seen, and it can go on after a restart",
            remedy="take the address out of the site file, or run it from another machine",
        )
    return None
