"""The values from which the configuration of OpenStack and its backing services is generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ouchi.core.instance import Instance

RELEASE = "2026.1"
CLOUD = "ouchi"
"""The name in clouds.yaml."""
REGION = "RegionOne"
CONTROLLER = "127.0.0.1"
"""The address on which the controller's services listen and are found."""
MARK = "made by ouchi"
"""The description of everything that ouchi makes in the cloud."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All values that configuration files and service definitions depend on."""

    instance: Instance
    secrets: Mapping[str, str] = field(repr=False)
    ports: Mapping[str, int]
    """TCP ports on the controller's address, by name."""
    host: str
    """The name of this compute node: nova's host and the OVN chassis' host name."""
    nova: Mapping[str, Mapping[str, str | tuple[str, ...]]]
    """The plan's own nova.conf settings by section."""
    physnets: tuple[str, ...]
    mtu: int = 1500
    """The largest MTU of any network of the site, in bytes."""
    emulated: bool = False
    """Guests run under TCG, because KVM does not work here."""
    controller: str = CONTROLLER

    def url(self, service: str) -> str:
        """The base URL of a service's API."""
        return f"http://{self.controller}:{self.ports[service]}"

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
        return f"rabbit://ouchi:{self.secrets['rabbitmq']}@{self.controller}:{self.ports['rabbitmq']}/"
