"""From the user's file and the machine to the plan: what every command that shows or follows a plan begins with."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ouchi.facts import Facts, collect
from ouchi.machine import Machine, Reader
from ouchi.plan import Plan, Style, make_plan
from ouchi.site import Site, default_site, load_site, read_site


@dataclass(frozen=True, slots=True)
class Wanted:
    """A site, the facts it is for, and the plan. ``new``: there is no such file yet; this is what ``up`` would write."""

    site_file: str
    new: bool
    site: Site
    facts: Facts
    plan: Plan

    @property
    def bridges(self) -> dict[str, str]:
        """Each physnet's bridge."""
        return bridges_of(self.site)


def read_wanted(machine: Machine, site_file: str, snapshot: Reader | None = None, style: Style | None = None) -> Wanted:
    """The plan of this machine, or of the one that ``snapshot`` holds; nothing is written.

    ``style`` in place of the one that the site prefers. Raises :class:`~ouchi.errors.BadInput` with everything that is wrong with the file or does not fit the machine.
    """
    session = snapshot.probe("session").strip() if snapshot else session_address()
    facts = collect(snapshot or machine, session)
    new = not machine.exists(site_file)
    if new:
        memory = sum(node.total_kib for node in facts.memory) // 1024
        text = default_site(facts.system.hostname, len(facts.cpus), memory)
        site = load_site(text.encode(), site_file)
    else:
        site = read_site(machine, site_file)
    return Wanted(site_file, new, site, facts, make_plan(site, facts, style))


def session_address() -> str:
    """The local address of the user's remote session (sshd's ``SSH_CONNECTION``, third word); empty without one."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return words[2] if len(words) == 4 else ""


def bridges_of(site: Site) -> dict[str, str]:
    """Each physnet's bridge; a device name has at most 15 characters."""
    names = sorted({network.physnet for network in site.networks} | {nic.physnet for nic in site.nics})
    return {name: f"br-{name}"[:15] for name in names}
