"""libvirt: virsh against one instance's libvirtd."""

from __future__ import annotations

from ouchi.core.instance import Instance
from ouchi.machine import Machine


def virsh(machine: Machine, instance: Instance, *words: str, timeout: float = 20, check: bool = True) -> str:
    """virsh against our libvirtd."""
    return machine.run(("virsh", "-q", "-c", instance.libvirt_uri, *words), timeout=timeout, check=check).stdout
