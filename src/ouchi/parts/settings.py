"""The embedded OpenStack: one node, without containers, next to a private MariaDB and RabbitMQ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ouchi.clients.openstack import Access
from ouchi.core.instance import Instance

RELEASE = "2026.1"
CLOUD = "ouchi"
"""The name in clouds.yaml."""
REGION = "RegionOne"

PORTS: Mapping[str, int] = {
    "keystone": 5000,
    "glance": 9292,
    "placement": 8778,
    "nova": 8774,
    "neutron": 9696,
    "rabbitmq": 5672,
    "epmd": 4369,
    "erlang": 25672,
}
"""TCP ports on loopback, the services' usual ones."""


VERSIONS: Mapping[str, str] = {
    "keystone": "/v3",
    "glance": "/v2",
    "placement": "",
    "nova": "/v2.1",
    "neutron": "/v2.0",
}
"""The path under which each API keeps the version that ouchi speaks."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the configuration files and services are made from."""

    instance: Instance
    secrets: Mapping[str, str]
    host: str
    """The name of this compute node: nova's host and the OVN chassis' hostname."""
    nova: Mapping[str, Mapping[str, str | tuple[str, ...]]]
    """The plan's own nova.conf settings by section."""
    physnets: tuple[str, ...]
    mtu: int = 1500
    """The largest packet of any network of the site."""

    def url(self, service: str) -> str:
        """A service's address on loopback."""
        return f"http://127.0.0.1:{PORTS[service]}"

    @property
    def access(self) -> Access:
        """The APIs' URLs and the administrator's password."""
        return Access(
            {name: f"{self.url(name)}{path}" for name, path in VERSIONS.items()}, self.secrets.get("admin", "")
        )

    def database(self, service: str, schema: str = "") -> str:
        """SQLAlchemy's address of a service's database on the private socket."""
        socket = self.instance.database_socket
        return (
            f"mysql+pymysql://{service}:{self.secrets[service]}@localhost/{schema or service}"
            f"?unix_socket={socket}&charset=utf8"
        )

    @property
    def transport(self) -> str:
        """oslo.messaging's address of RabbitMQ."""
        return f"rabbit://ouchi:{self.secrets['rabbitmq']}@127.0.0.1:{PORTS['rabbitmq']}/"
