"""``ouchi report``."""

from __future__ import annotations

import click

_FILE = click.Path(dir_okay=False)


@click.command()
@click.argument("run", type=click.Path(file_okay=False), metavar="RUN")
@click.option(
    "-o", "page_file", type=_FILE, metavar="FILE.html", help="Where to write the page.  [default: RUN/report.html]"
)
@click.option("--csv", "csv_file", type=_FILE, metavar="FILE", help="Write every trial as CSV instead.")
@click.option(
    "--prometheus",
    "prometheus_file",
    type=_FILE,
    metavar="FILE",
    help="Write figures for node_exporter's textfile collector.",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole run as JSON.")
def command(
    run: str, page_file: str | None, csv_file: str | None, prometheus_file: str | None, as_markdown: bool, as_json: bool
) -> None:
    """Show a run of ouchi bench as tables, and write it as an HTML page that needs no network.

    RUN is its folder. Without -o, no page is written when another output is requested.
    """
    if as_markdown and as_json:
        raise click.UsageError("--markdown and --json cannot both be printed")
    import json

    from ouchi.cli.output import write_output
    from ouchi.core.plain import to_plain
    from ouchi.machine.local import LocalMachine
    from ouchi.measure.runs.folder import read_run, read_run_plan
    from ouchi.report.run.csv import csv_text
    from ouchi.report.run.page import page_html
    from ouchi.report.run.prometheus import prometheus_text
    from ouchi.report.run.table import markdown
    from ouchi.report.run.terminal import run_text

    machine = LocalMachine()
    folder = machine.absolute(run)
    found = read_run(machine, folder)
    if not (page_file or csv_file or prometheus_file or as_markdown or as_json):
        page_file = f"{folder}/report.html"
    if page_file:
        write_output(page_file, page_html(found, read_run_plan(machine, folder)), "written")
    for path, made in ((csv_file, csv_text), (prometheus_file, prometheus_text)):
        if path:
            write_output(path, made(found), "written")
    if as_json:
        click.echo(json.dumps(to_plain(found), indent=1))
    else:
        click.echo(markdown(found) if as_markdown else run_text(found))
