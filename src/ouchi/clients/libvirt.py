"""libvirt: virsh against one instance's libvirtd, and QMP through it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from ouchi.core.instance import Instance
from ouchi.machine import Machine


def virsh(machine: Machine, instance: Instance, *words: str, timeout: float = 20, check: bool = True) -> str:
    """virsh against our libvirtd."""
    return machine.run(("virsh", "-q", "-c", instance.libvirt_uri, *words), timeout=timeout, check=check).stdout


def qmp(machine: Machine, instance: Instance, domain: str, command: str) -> object:
    """One QMP command to a guest's QEMU through libvirt, and its ``return`` member."""
    text = virsh(machine, instance, "qemu-monitor-command", domain, json.dumps({"execute": command}))
    return json.loads(text)["return"]


def domains_by_server(machine: Machine, instance: Instance) -> dict[str, str]:
    """The running domains by the name of the server that nova made each for."""
    names = virsh(machine, instance, "list", "--name").split()
    return {server_name(virsh(machine, instance, "dumpxml", name)) or name: name for name in names}


def server_name(text: str) -> str:
    """The server's name in the XML of a domain that nova made; empty in another's."""
    root = ET.fromstring(text)  # noqa: S314  # libvirt's own, not a stranger's
    name = root.find("./metadata/{http://openstack.org/xmlns/libvirt/nova/1.1}instance/{*}name")
    return name.text or "" if name is not None else ""
