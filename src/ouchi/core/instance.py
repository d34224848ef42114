"""Where everything of ouchi lives.

One instance owns a state folder (kept by ``down``), a run folder (gone after ``down``) and a mark that every
process and object of it carries.
"""

from __future__ import annotations

from dataclasses import dataclass

MARK = "OUCHI_INSTANCE"
"""The environment variable that marks every process of ours."""


@dataclass(frozen=True, slots=True)
class Instance:
    """The folders and names of one installation on a machine."""

    name: str = "ouchi"
    state: str = "/var/lib/ouchi"
    run: str = "/run/ouchi"
    logs: str = "/var/log/ouchi"
    host: str = "/var/lib/ouchi-host"
    """What ``apply`` has changed and how to take it back; ``down --purge`` leaves it, only ``undo`` empties it."""

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this instance carries."""
        return {MARK: self.name}

    @property
    def etc(self) -> str:
        """The services' configuration files, some of them secret."""
        return f"{self.state}/etc"

    @property
    def kept_site(self) -> str:
        """The text of the site file that ``up`` used, for the commands that judge the host later."""
        return f"{self.state}/site.yaml"

    @property
    def cache(self) -> str:
        """What can be built again: the OpenStack environment and the guest image."""
        return f"{self.state}/cache"

    @property
    def openstack(self) -> str:
        """The root of OpenStack's own Python environment."""
        return f"{self.cache}/openstack"

    @property
    def database_socket(self) -> str:
        return f"{self.run}/mariadb/mariadb.sock"

    @property
    def ovs(self) -> str:
        """OVS_RUNDIR: sockets, pid files and the configuration database."""
        return f"{self.run}/ovs"

    @property
    def ovs_socket(self) -> str:
        return f"{self.ovs}/db.sock"

    @property
    def ovn_socket(self) -> str:
        return f"{self.run}/ovn/db.sock"

    @property
    def vhost(self) -> str:
        """Where QEMU makes the vhost-user sockets that OVS connects to."""
        return f"{self.run}/vhost"

    @property
    def hugepages(self) -> str:
        """Our hugetlbfs mount."""
        return f"{self.run}/hugepages"

    @property
    def libvirt_socket(self) -> str:
        return f"{self.run}/libvirt/libvirt-sock"

    @property
    def libvirt_uri(self) -> str:
        return f"qemu+unix:///system?socket={self.libvirt_socket}"
