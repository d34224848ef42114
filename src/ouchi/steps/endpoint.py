"""An address of this host on a VLAN, in a network namespace of its own: something to measure against.

A veth pair joins it to the physnet's bridge. (An internal port would vanish whenever ovs-vswitchd restarts.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ouchi.dataplane.ovs import vsctl
from ouchi.instance import Instance
from ouchi.journal import Journal
from ouchi.machine import Machine
from ouchi.site import Site
from ouchi.steps import Outcome, changed, nothing

KIND = "endpoint"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host address on a VLAN: ``address`` with prefix length, ``gateway`` may be empty."""

    network: str
    vlan: int
    bridge: str
    address: str
    gateway: str

    def namespace(self, instance: Instance) -> str:
        return f"{instance.name}-{self.network}"

    def port(self, _instance: Instance) -> str:
        """The bridge's end; a device name has at most 15 characters."""
        return f"ouchi-vlan{self.vlan}"


def endpoints(site: Site, bridges: Mapping[str, str]) -> list[Endpoint]:
    """The endpoints that a site asks for."""
    return [
        Endpoint(
            network.name,
            network.vlan,
            bridges[network.physnet],
            f"{network.endpoint}/{network.subnet.prefixlen}",
            str(network.gateway or ""),
        )
        for network in site.networks
        if network.endpoint
    ]


def attach(machine: Machine, journal: Journal, instance: Instance, endpoint: Endpoint) -> Outcome:
    """Make the namespace, the pair and the port, as far as they are missing."""
    space, port = endpoint.namespace(instance), endpoint.port(instance)
    made = False
    if not machine.exists(f"/sys/class/net/{port}"):
        journal.note(KIND, space, {"port": port})
        machine.run(("ip", "netns", "delete", space), check=False)
        machine.run(("ip", "netns", "add", space))
        machine.run(("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space))
        inside = ("ip", "-n", space)
        machine.run((*inside, "link", "set", "lo", "up"))
        # The userspace datapath reads raw frames: a checksum left to hardware would reach the guest unfinished.
        machine.run(("ip", "netns", "exec", space, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off"))
        machine.run((*inside, "address", "add", endpoint.address, "dev", "eth0"))
        machine.run((*inside, "link", "set", "eth0", "up"))
        if endpoint.gateway:
            machine.run((*inside, "route", "add", "default", "via", endpoint.gateway))
        machine.run(("sysctl", "-qw", f"net.ipv6.conf.{port}.disable_ipv6=1"), check=False)
        machine.run(("ip", "link", "set", port, "up"))
        made = True
    words = ("--may-exist", "add-port", endpoint.bridge, port, f"tag={endpoint.vlan}")
    vsctl(machine, instance, *words, "--", "set", "Interface", port, f"external_ids:ouchi={instance.name}", wait=15)
    text = f"{endpoint.address} on VLAN {endpoint.vlan} in namespace {space}"
    return changed(text) if made else nothing(text)


def undo(machine: Machine, journal: Journal) -> list[str]:
    """Remove the namespaces; the pairs go with them."""
    done = []
    for space, record in journal.records(KIND).items():
        machine.run(("ip", "link", "delete", str(record["port"])), check=False)
        machine.run(("ip", "netns", "delete", space), check=False)
        journal.forget(KIND, space)
        done.append(f"namespace {space} removed")
    return done
