"""``ouchi bench``."""

from __future__ import annotations

import re

import click

from ouchi.cli.site import site_option

PATHS = ("loop", "v2v", "pvp", "pvvp", "p2p", "kernel")
GOALS = ("ndr", "pdr", "rfc2544", "tst009")
TESTS = ("latency", "frame-loss", "back-to-back", "soak", "maximum")
GUESTS = ("testpmd", "vm")


class GoalType(click.ParamType[str]):
    """A goal by its name, or a loss ratio in percent."""

    name = "goal"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(GOALS)}|N%]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        ratio = re.fullmatch(r"(\d{1,2}(\.\d+)?)%", value)
        if value not in GOALS and not ratio:
            self.fail(f"{value!r} is neither one of {', '.join(GOALS)} nor a loss in percent such as 0.1%", param, ctx)
        return value


class TestType(click.ParamType[str]):
    """A test by its name, and perhaps the seconds of its trials."""

    name = "test"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "TEST[:SECONDS]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name, _, seconds = value.partition(":")
        if name not in TESTS or not re.fullmatch(r"(\d{1,5}(\.\d+)?)?", seconds) or value.endswith(":"):
            self.fail(f"{value!r} is none of {', '.join(TESTS)}, each perhaps with :SECONDS", param, ctx)
        if seconds and not float(seconds):
            self.fail(f"{value!r} would last no time", param, ctx)
        return value


@click.group(invoke_without_command=True)
@click.option("--path", type=click.Choice(PATHS), default="v2v", show_default=True, help="What is measured.")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="BYTES|MIX",
    help="Frame size with FCS, 64 to 9000, or imix; more than once.  [default: 64]",
)
@click.option("--flows", type=click.IntRange(1, 10_000_000), default=1, show_default=True, help="Different flows.")
@click.option(
    "--goal", "goals", multiple=True, type=GoalType(),
    help="What is looked for, or the loss allowed; more than once.  [default: ndr and pdr, without --rate]",
)  # fmt: skip
@click.option(
    "--rate", "rates", multiple=True, metavar="RATE",
    help="Send at this rate, all directions together: 1Mpps, 3Gbps, 3GbpsL1, 45%; more than once.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(0.01, 86400), default=10.0, show_default=True, help="How long, with --rate."
)
@click.option(
    "--also", multiple=True, type=TestType(),
    help=f"What is measured beside: {', '.join(TESTS)}; more than once.",
)  # fmt: skip
@click.option(
    "--guest", type=click.Choice(GUESTS), default="testpmd", show_default=True,
    help="What forwards in pvp and pvvp: DPDK's testpmd, or a virtual machine that routes in its kernel.",
)  # fmt: skip
@click.option(
    "--wire", "wires", nargs=2, multiple=True, metavar="GENERATOR SWITCH",
    help="For p2p: the cards at the ends of a cable, once or twice.",
)  # fmt: skip
@click.option("--beside-kernel", is_flag=True, help="The same through the kernel's bridge, and iperf3, beside v2v.")
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
    context: click.Context, path: str, sizes: tuple[str, ...], flows: int, goals: tuple[str, ...], rates: tuple[str, ...],
    seconds: float, also: tuple[str, ...],
    guest: str, wires: tuple[tuple[str, str], ...], beside_kernel: bool, repeats: int, one_way: bool, most_seconds: float,
    folder: str | None, dry_run: bool, as_json: bool, site_file: str,
) -> None:  # fmt: skip
    """Measure this host with DPDK: which rate a path carries without loss, and how long frames take.

    \b
    loop    the generator to itself: what it can do at most
    v2v     through OVS from one vhost-user port to another
    pvp     through OVS, a guest that forwards, and OVS again
    pvvp    the same with two guests in a row
    p2p     through OVS from one card to another, over cables from the generator's cards
    kernel  v2v through the kernel's bridge, without OVS and DPDK
    """
    if context.invoked_subcommand:
        return
    from ouchi.machine.privilege import need_root

    if not dry_run:
        need_root()
    from ouchi.cli.benching import Asked, run_bench

    asked = Asked(
        path, sizes or ("64",), goals or (() if rates else ("ndr", "pdr")), also, guest, wires,
        flows=flows, repeats=repeats, both=not one_way, most_seconds=most_seconds, kernel=beside_kernel, rates=rates,
        seconds=seconds,
    )  # fmt: skip
    context.exit(run_bench(site_file, asked, folder, dry_run=dry_run, as_json=as_json))


@command.command()
@click.argument("before", type=click.Path(file_okay=False))
@click.argument("after", type=click.Path(file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(before: str, after: str, as_json: bool) -> None:
    """Whether the difference between two runs is real: BEFORE and AFTER are their folders."""
    from ouchi.cli.benching import run_compare

    run_compare(before, after, as_json=as_json)
