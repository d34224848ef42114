"""``ouchi bench``."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ouchi.cli.choice import Choice
from ouchi.cli.output import echo
from ouchi.cli.site import site_option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ouchi.measure.search.extra_tests import ExtraTest
    from ouchi.measure.search.goals import Goal

PATHS = ("loop", "v2v", "pvp", "pvvp", "p2p", "kernel")
GOALS = ("ndr", "pdr", "rfc2544", "tst009")
METHODS = ("mlrsearch", "binary", "tst009")
TESTS = ("latency", "frame-loss", "back-to-back", "soak", "maximum")
GUESTS = ("testpmd", "vm")


class GoalType(click.ParamType["Goal"]):
    """A goal by its name, or by its loss ratio in percent."""

    name = "goal"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return Choice(GOALS).shell_complete(ctx, param, incomplete)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Goal:
        from ouchi.measure.search.goals import NAMED_GOALS, partial_drop_goal

        if value in NAMED_GOALS:
            return NAMED_GOALS[value]
        if not re.fullmatch(r"(\d{1,2}(\.\d+)?)%", value):
            self.fail(f"{value!r} is neither one of {', '.join(GOALS)} nor a loss in percent such as 0.1%", param, ctx)
        return partial_drop_goal(float(value.removesuffix("%")) / 100)


class TestType(click.ParamType["ExtraTest"]):
    """A test by its name, optionally with the seconds of its trials."""

    name = "test"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return Choice(TESTS).shell_complete(ctx, param, incomplete)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ExtraTest:
        from ouchi.measure.search.extra_tests import SECONDS, ExtraTest

        name, _, seconds = value.partition(":")
        if name not in TESTS or not re.fullmatch(r"(\d{1,5}(\.\d+)?)?", seconds) or value.endswith(":"):
            self.fail(f"{value!r} is not one of {', '.join(TESTS)}, optionally with :SECONDS", param, ctx)
        if seconds and not float(seconds):
            self.fail(f"{value!r} has a duration of zero", param, ctx)
        return ExtraTest(name, float(seconds or SECONDS[name]))


@click.group(invoke_without_command=True)
@click.option("--path", "path_name", type=Choice(PATHS), default="v2v", show_default=True, help="Path under test.")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="BYTES|MIX",
    help="Frame size with FCS, 64 to 9000, or imix; repeatable.  [default: 64]",
)
@click.option("--flows", type=click.IntRange(1, 10_000_000), default=1, show_default=True, help="Number of flows.")
@click.option(
    "--stream",
    "stream_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="YAML file that describes the frames: VLANs, IPv6, TCP, tunnels, varying fields, or a capture.",
)
@click.option(
    "--goal",
    "goals",
    multiple=True,
    type=GoalType(),
    metavar=f"[{'|'.join(GOALS)}|N%]",
    help="Search goal, or an allowed loss; repeatable.  [default: ndr and pdr, without --rate]",
)
@click.option(
    "--search",
    "method",
    type=Choice(METHODS),
    default="mlrsearch",
    show_default=True,
    help="Search method: MLRsearch, plain binary search, or binary search with loss verification (TST 009).",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="RATE",
    help="Offer this rate without a search, all directions together: 1Mpps, 3Gbps, 3GbpsL1, 45%; repeatable.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 86400),
    default=10.0,
    show_default=True,
    help="Duration of a trial with --rate.",
)
@click.option(
    "--also",
    "extra_tests",
    multiple=True,
    type=TestType(),
    metavar="TEST[:SECONDS]",
    help=f"Further tests: {', '.join(TESTS)}; repeatable.",
)
@click.option(
    "--guest",
    type=Choice(GUESTS),
    default="testpmd",
    show_default=True,
    help="Guests of pvp and pvvp: DPDK's testpmd, or virtual machines that route in their kernel.",
)
@click.option(
    "--wire",
    "wires",
    nargs=2,
    multiple=True,
    metavar="GENERATOR SWITCH",
    help="For p2p: the NICs at the ends of a cable; once or twice.",
)
@click.option("--beside-kernel", "compare_kernel", is_flag=True, help="With v2v: compare with the kernel's bridge.")
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Searches per frame size; bench compare needs 4 of each run.",
)
@click.option("--one-way", is_flag=True, help="Send from left to right only.")
@click.option(
    "--max-seconds", type=click.FloatRange(1, 86400), default=120.0, show_default=True, help="Time limit of a search."
)
@click.option(
    "-o",
    "folder",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="The run's folder.  [default: named after the path and the time]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be measured and where; change nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the results as JSON on stdout."
)
@site_option
@click.pass_context
def command(
    context: click.Context,
    /,
    stream_file: str | None,
    folder: str | None,
    site_file: str,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure this host with DPDK: the rate that a path forwards without loss, and its latency.

    \b
    loop    the generator alone, over a ring: its maximum
    v2v     through OVS from one vhost-user port to another
    pvp     through OVS, a forwarding guest, and OVS again
    pvvp    the same with two guests in a row
    p2p     through OVS from one NIC to another, over cables from the generator's NICs
    kernel  v2v through the kernel's bridge, without OVS and DPDK
    """
    if context.invoked_subcommand:
        return
    from ouchi.machine.privilege import need_root

    if not dry_run:
        need_root()
    from ouchi.cli.running import stop
    from ouchi.cli.timeline import timeline_of
    from ouchi.core.instance import LOCK, Instance
    from ouchi.core.plain import to_plain
    from ouchi.flows import bench
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.lock import exclusive_lock
    from ouchi.measure.runs.folder import read_run
    from ouchi.report.run.terminal import preview_text, run_text

    machine, instance = LocalMachine(), Instance()
    request = _request(context, machine, stream_file, **options)
    target = bench.read_bench_target(machine, machine.absolute(site_file), request)
    folder = machine.absolute(folder or f"ouchi-{request.path_name}-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}")
    if dry_run:
        preview = bench.preview(machine, instance, target, request, folder=folder)
        click.echo(json.dumps({"schema": 2, **preview}) if as_json else preview_text(preview))
        return
    with exclusive_lock(LOCK, "bench"), timeline_of(as_json=as_json) as timeline:
        complete = bench.bench(
            machine, instance, target, request, folder=folder, timeline=timeline, interrupt=lambda: stop(machine)
        )
    run = read_run(machine, folder)
    if as_json:
        click.echo(json.dumps(to_plain(run)))
    else:
        echo(f"{run_text(run)}\n\nstored in {folder}\nnext: ouchi report {folder}")
    context.exit(0 if complete else 1)


def _request(context: click.Context, machine: Any, stream_file: str | None, **options: Any) -> Any:
    """The options as a BenchRequest. Raises BadInput for a bad stream file."""
    from ouchi.measure.generator.stream_file import read_stream_file
    from ouchi.measure.paths.wires import Wire
    from ouchi.measure.request import BenchRequest
    from ouchi.measure.search.goals import NDR, PDR

    one_way, wires = options.pop("one_way"), options.pop("wires")
    for name in ("sizes", "goals", "rates", "extra_tests"):
        options[name] = tuple(dict.fromkeys(options[name]))
    options["sizes"] = options["sizes"] or ("64",)
    options["goals"] = options["goals"] or (() if options["rates"] else (NDR, PDR))
    if stream_file:
        for name, option in (("sizes", "--size"), ("flows", "--flows")):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise click.UsageError(f"{option} cannot be used with --stream: the file has it")
        spec = read_stream_file(machine, machine.absolute(stream_file))
        options |= {"template": spec.template, "sizes": (spec.size,), "flows": spec.flows}
    return BenchRequest(bidirectional=not one_way, wires=tuple(Wire(*wire) for wire in wires), **options)


@command.command()
@click.argument("before", type=click.Path(file_okay=False))
@click.argument("after", type=click.Path(file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(before: str, after: str, as_json: bool) -> None:
    """Test whether the difference between two runs is significant; BEFORE and AFTER are their folders."""
    from ouchi.core.plain import to_plain
    from ouchi.machine.local import LocalMachine
    from ouchi.measure.runs.compare import compare_runs
    from ouchi.measure.runs.folder import read_run
    from ouchi.report.run.terminal import comparison_text

    machine = LocalMachine()
    compared = compare_runs(
        *(read_run(machine, machine.absolute(folder), with_trials=False) for folder in (before, after))
    )
    click.echo(json.dumps(to_plain(compared)) if as_json else comparison_text(compared))
