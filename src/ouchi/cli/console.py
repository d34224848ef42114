"""``ouchi console``."""

from __future__ import annotations

import click

from ouchi.cli.choice import completing, nearest, server_names


@click.command()
@click.argument("server", shell_complete=completing(server_names))
def command(server: str) -> None:
    """Attach to a server's serial console; leave it with Ctrl-]."""
    from ouchi.machine.privilege import need_root

    need_root()
    from ouchi.core.errors import BadInput, Unhealthy
    from ouchi.core.instance import Instance
    from ouchi.live.host import MACHINE, read
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.own_process import replace_with

    machine, instance = LocalMachine(), Instance()
    if not machine.exists(instance.libvirt_socket):
        raise Unhealthy.of("no server runs: ouchi is not up", where=instance.libvirt_socket, remedy="ouchi up")
    domains = {guest.name: guest.domain for guest in read(machine, instance, (MACHINE,)).guests if guest.ours}
    if server not in domains:
        near = nearest(server, domains)
        raise BadInput.of(
            "no such server runs",
            found=server,
            expected=", ".join(domains) or "none runs",
            remedy=f"ouchi console {near}" if near else "ouchi status",
        )
    replace_with(("/usr/bin/virsh", "-c", instance.libvirt_uri, "console", "--force", domains[server]), {})
