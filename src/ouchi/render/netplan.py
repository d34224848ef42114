"""netplan: the number of VFs of each SR-IOV NIC; NICs of OVS-DPDK are not in it."""

from __future__ import annotations

from ouchi.plan.target import Target
from ouchi.render.files import Rendered, comment, made_by
from ouchi.render.yaml import yaml_text

PATH = "etc/netplan/90-ouchi.yaml"


def netplan(target: Target) -> Rendered:
    """A file beside yours. It can add VFs, but not take a NIC out of another file."""
    taken = [nic.name for nic in target.dpdk_nics if nic.name]
    remarks = [f"Goes to /{PATH}. Then: netplan apply."]
    if taken:
        remarks.append(f"OVS-DPDK has {', '.join(taken)}: no other file in /etc/netplan may name them.")
    interfaces = {nic.name: {"virtual-function-count": len(nic.vfs)} for nic in target.sriov_nics}
    network: dict[str, object] = {"version": 2}
    if interfaces:
        network["ethernets"] = interfaces
    # netplan warns of files that others may read.
    return Rendered(PATH, comment(made_by(target, *remarks)) + yaml_text({"network": network}), 0o600)
