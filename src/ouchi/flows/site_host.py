"""A host of a site file, and the machine through which it is worked on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ouchi.machine.gather import reader_of
from ouchi.machine.ssh.machine import SshMachine

if TYPE_CHECKING:
    from ouchi.facts import Facts
    from ouchi.machine import Machine, Reader
    from ouchi.plan import Style
    from ouchi.plan.target import Target
    from ouchi.site import Site


@dataclass(frozen=True)
class SiteHost:
    """One host. ``address`` is empty for this machine; ``site`` is None where there is no site file."""

    name: str
    address: str
    site_file: str
    site: Site | None
    machine: Machine

    def reader(self) -> Reader:
        """The reader for its facts; for a remote host they are fetched all at once, now."""
        return reader_of(self.machine)

    def target(self, style: Style | None = None, *, fit: bool = True) -> Target:
        """Its plan, from its facts as they are now; ``fit`` as for :func:`~ouchi.plan.make_plan`. Raises :class:`~ouchi.core.errors.BadInput`."""
        # Imported here, as below: inspect needs no planner.
        from ouchi.plan.load import facts_of, target_of

        return target_of(self.site_file, self.site, facts_of(self.reader()), style, fit=fit)

    def facts_over_new_connection(self) -> Facts:
        """Its facts over a connection of their own, which shows that new connections still reach it."""
        from ouchi.plan.load import facts_of

        if not isinstance(self.machine, SshMachine):
            return facts_of(self.machine)
        with self.machine.another() as new:
            return facts_of(reader_of(new))

    def after_reboot(self, boot_id: str) -> SiteHost:
        """Wait until it has rebooted; ``boot_id`` is that of before. Raises :class:`~ouchi.core.errors.Failed`."""
        if not isinstance(self.machine, SshMachine):
            return self
        from ouchi.host.reboot import wait_until_back

        self.machine.close()
        return replace(self, machine=wait_until_back(self.machine.another, boot_id, self.name))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if isinstance(self.machine, SshMachine):
            self.machine.close()
