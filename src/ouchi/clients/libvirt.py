"""libvirt: virsh against one instance's libvirtd, and QMP through it."""

from __future__ import annotations

import json

from ouchi.core.instance import Instance
from ouchi.machine import Machine


def virsh(machine: Machine, instance: Instance, *words: str, timeout: float = 20, check: bool = True) -> str:
    """virsh against our libvirtd."""
    return machine.run(("virsh", "-q", "-c", instance.libvirt_uri, *words), timeout=timeout, check=check).stdout


def qmp(machine: Machine, instance: Instance, domain: str, command: str) -> object:
    """One QMP command to a guest's QEMU through libvirt, and its ``return`` member."""
    text = virsh(machine, instance, "qemu-monitor-command", domain, json.dumps({"execute": command}))
    return json.loads(text)["return"]
