"""An instance: the folders of one installation of ouchi on a machine, and the mark of its processes.

``down`` keeps the state folder and removes the run folder.
"""

from __future__ import annotations

from dataclasses import dataclass

LOCK = "/run/ouchi.lock"
"""The lock file: one ouchi changes a host at a time. Nobody but root may make a file in its folder."""

MARK = "OUCHI_INSTANCE"
"""The environment variable that every process of an instance has; its value is the instance's name."""


@dataclass(frozen=True, slots=True)
class Instance:
    """The folders and names of one installation on a machine."""

    name: str = "ouchi"
    state: str = "/var/lib/ouchi"
    run: str = "/run/ouchi"
    logs: str = "/var/log/ouchi"
    host: str = "/var/lib/ouchi-host"
    """What ``apply`` has changed and how to revert it; ``down --purge`` keeps it, only ``undo`` empties it."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables for every process of this instance."""
        return {MARK: self.name}

    @property
    def etc(self) -> str:
        """The services' configuration files; some contain passwords."""
        return f"{self.state}/etc"

    @property
    def kept_site(self) -> str:
        """The text of the site file that ``up`` used, for the commands that judge the host later."""
        return f"{self.state}/site.yaml"

    @property
    def cache(self) -> str:
        """The OpenStack environment and the guest image, which can be built again."""
        return f"{self.state}/cache"

    @property
    def openstack(self) -> str:
        """The Python environment that OpenStack is installed in."""
        return f"{self.cache}/openstack"

    @property
    def database_socket(self) -> str:
        return f"{self.run}/mariadb/mariadb.sock"

    @property
    def ovs(self) -> str:
        """OVS_RUNDIR: sockets, PID files and the configuration database."""
        return f"{self.run}/ovs"

    @property
    def ovs_socket(self) -> str:
        return f"{self.ovs}/db.sock"

    @property
    def ovn_socket(self) -> str:
        return f"{self.run}/ovn/db.sock"

    @property
    def vhost(self) -> str:
        """The folder in which QEMU creates the vhost-user sockets that OVS connects to."""
        return f"{self.run}/vhost"

    @property
    def hugepages(self) -> str:
        """The mount point of the instance's hugetlbfs."""
        return f"{self.run}/hugepages"

    @property
    def libvirt_socket(self) -> str:
        return f"{self.run}/libvirt/libvirt-sock"

    @property
    def libvirt_uri(self) -> str:
        return f"qemu+unix:///system?socket={self.libvirt_socket}"
