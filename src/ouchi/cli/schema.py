"""``ouchi schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMAS: Mapping[str, tuple[str, str]] = {
    "site": ("the site file", "ouchi.site.models:site_schema"),
    "plan": ("plan --json, and the file that --plan reads", "ouchi.plan.saved:SavedPlan"),
    "facts": ("inspect --json", "ouchi.facts:Facts"),
    "up-dry-run": ("up --dry-run --json", "ouchi.report.documents:UpDryRun"),
    "up": ("up --json", "ouchi.report.documents:UpSummary"),
    "event": ("a line on stderr of up, down, apply, undo, bench with --json", "ouchi.report.documents:Event"),
    "status": ("status --json", "ouchi.report.documents:Status"),
    "run": ("report --json and bench --json", "ouchi.measure.schemas:run_schema"),
    "trial": ("a line of a run's trials.ndjson", "ouchi.measure.schemas:trial_schema"),
    "compare": ("bench compare --json", "ouchi.measure.schemas:compare_schema"),
    "stream": ("the file of bench --stream", "ouchi.measure.schemas:stream_schema"),
    "hosts": ("--json of a command for several hosts", "ouchi.report.documents:HostResults"),
}
"""Name → what has that form, and where it is defined: a dataclass, or a function that returns the schema."""


@click.command(epilog="Names: " + "; ".join(f"{name}: {what}" for name, (what, _) in SCHEMAS.items()) + ".")
@click.argument("name", type=click.Choice(list(SCHEMAS)), metavar="NAME")
def command(name: str) -> None:
    """Print the JSON Schema of a file or of a --json output."""
    import json

    click.echo(json.dumps(schema_of(name), indent=2))


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a document, draft 2020-12."""
    from importlib import import_module

    from ouchi.core.plain import json_schema

    what, location = SCHEMAS[name]
    module, _, attribute = location.partition(":")
    found = getattr(import_module(module), attribute)
    return json_schema(found, f"ouchi: {what}") if isinstance(found, type) else dict(found())
