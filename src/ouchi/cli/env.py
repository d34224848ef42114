"""``ouchi env``."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Print shell variables for your own tools: eval "$(ouchi env)".

    With them ovs-vsctl, ovs-appctl, ovn-nbctl, virsh and openstack use ouchi's daemons.
    """
    from ouchi.core.instance import Instance
    from ouchi.parts.settings import CLOUD

    instance = Instance()
    variables = {
        "OS_CLOUD": CLOUD,
        "OVS_RUNDIR": instance.ovs,
        "OVN_RUNDIR": f"{instance.run}/ovn",
        "OVN_NB_DB": f"unix:{instance.ovn_socket}",
        "OVN_SB_DB": f"unix:{instance.ovn_socket}",
        "LIBVIRT_DEFAULT_URI": instance.libvirt_uri,
    }
    for name, value in variables.items():
        click.echo(f"export {name}='{value}'")
