"""``ouchi up``."""

from __future__ import annotations

import click

from ouchi.cli.choice import Choice
from ouchi.cli.site import site_option
from ouchi.parts.stages import STAGES


@click.command()
@site_option
@click.option("--until", type=Choice(STAGES), default=STAGES[-1], help="Stop after this stage.")
@click.option("--dry-run", is_flag=True, help="Show the plan and what would be done; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before the machine itself is changed (ouchi apply) or rebooted.")
@click.option("--no-reboot", is_flag=True, help="Do not reboot where a reboot is needed.")
@click.option(
    "--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the summary as JSON on stdout."
)
def command(site_file: str, until: str, dry_run: bool, yes: bool, no_reboot: bool, as_json: bool) -> None:
    """Turn this machine into an NFV host: OVS-DPDK, OpenStack, pinned VMs.

    If the site file lists NICs or isolates CPUs, the machine itself is configured first, as by ouchi apply.

    Run it again to resume after an interruption, or to verify the host: only differences from the plan are changed.
    """
    from ouchi.machine.privilege import need_root

    if dry_run:
        from ouchi.cli.ahead import show_ahead

        show_ahead(site_file, until, as_json=as_json)
        return
    need_root()
    from ouchi.cli.running import run_up

    status = run_up(site_file, until, yes=yes, restart=not no_reboot, as_json=as_json)
    click.get_current_context().exit(status)
