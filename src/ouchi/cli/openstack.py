"""``ouchi openstack``."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:
    """The OpenStack client, against this cloud."""
    from ouchi.machine.privilege import need_root

    need_root()
    from ouchi.core.errors import Failed, Unhealthy
    from ouchi.core.instance import Instance
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.own_process import replace_with
    from ouchi.machine.reserved_ports import unreserved
    from ouchi.parts.settings import CLOUD

    if findings := unreserved(LocalMachine()):
        raise Failed(findings)
    client = f"{Instance().openstack}/bin/openstack"
    # Loopback is no business of a proxy that the user's environment may name.
    if not replace_with((client, *words), {"OS_CLOUD": CLOUD, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}):
        raise Unhealthy.of("there is no OpenStack here yet", where=client, remedy="ouchi up")
