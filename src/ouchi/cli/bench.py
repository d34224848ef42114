"""``ouchi bench``."""

from __future__ import annotations

import click

from ouchi.cli.site import site_option

PATHS = ("loop", "v2v", "pvp")
GOALS = ("ndr", "pdr", "rfc2544", "tst009")


@click.group(invoke_without_command=True)
@click.option("--path", type=click.Choice(PATHS), default="v2v", show_default=True, help="What is measured.")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="BYTES|MIX",
    help="Frame size with FCS, or imix; more than once.  [default: 64]",
)
@click.option("--flows", type=click.IntRange(1, 10_000_000), default=1, show_default=True, help="Different flows.")
@click.option(
    "--goal",
    "goals",
    multiple=True,
    type=click.Choice(GOALS),
    help="What is looked for; more than once.  [default: ndr and pdr]",
)
@click.option("--repeats", type=click.IntRange(1, 100), default=3, show_default=True, help="Searches at each size.")
@click.option("--one-way", is_flag=True, help="Frames from left to right only.")
@click.option(
    "--most-seconds", type=click.FloatRange(1, 86400), default=120.0, show_default=True, help="Bound of one search."
)
@click.option(
    "-o",
    "folder",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="The run's folder.  [default: one named for the path and the time]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be measured and where; change nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the results as JSON on stdout."
)
@site_option
@click.pass_context
def command(
    context: click.Context, path: str, sizes: tuple[str, ...], flows: int, goals: tuple[str, ...], repeats: int, one_way: bool,
    most_seconds: float, folder: str | None, dry_run: bool, as_json: bool, site_file: str,
) -> None:  # fmt: skip
    """Measure this host with DPDK: which rate a path carries without loss, and how long frames take.

    \b
    loop  the generator to itself: what it can do at most
    v2v   through OVS from one vhost-user port to another
    pvp   through OVS, a guest that forwards (testpmd), and OVS again
    """
    if context.invoked_subcommand:
        return
    from ouchi.machine.privilege import need_root

    if not dry_run:
        need_root()
    from ouchi.cli.benching import run_bench

    status = run_bench(
        site_file, path, sizes or ("64",), goals or ("ndr", "pdr"), folder,
        flows=flows, repeats=repeats, both=not one_way, most_seconds=most_seconds, dry_run=dry_run, as_json=as_json,
    )  # fmt: skip
    context.exit(status)


@command.command()
@click.argument("before", type=click.Path(file_okay=False))
@click.argument("after", type=click.Path(file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(before: str, after: str, as_json: bool) -> None:
    """Whether the difference between two runs is real: BEFORE and AFTER are their folders."""
    from ouchi.cli.benching import run_compare

    run_compare(before, after, as_json=as_json)
