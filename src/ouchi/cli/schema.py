"""``ouchi schema``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ouchi.cli.choice import Choice

DOCUMENTS = "ouchi.report.documents"
MEASURE = "ouchi.measure:SCHEMAS"
SCHEMAS: Mapping[str, tuple[str, str]] = {
    "site": ("the site file", "ouchi.site.models:site_schema"),
    "facts": ("inspect --json", "ouchi.facts:Facts"),
    "plan": ("plan --json, and the file that --plan reads", "ouchi.plan.saved:SavedPlan"),
    "up": ("up --json", f"{DOCUMENTS}:UpSummary"),
    "up-dry-run": ("up --dry-run --json", f"{DOCUMENTS}:UpPreview"),
    "status": ("status --json", f"{DOCUMENTS}:Status"),
    "doctor": ("doctor --json", f"{DOCUMENTS}:Doctor"),
    "apply": ("apply --json", f"{DOCUMENTS}:Apply"),
    "undo": ("undo --json", f"{DOCUMENTS}:Undo"),
    "journal": ("a journal of changes", f"{DOCUMENTS}:JournalFile"),
    "run": ("report --json", MEASURE),
    "trial": ("a line of trials.ndjson", MEASURE),
    "compare": ("bench compare --json", MEASURE),
    "stream": ("a stream file", MEASURE),
    "bench-dry-run": ("bench --dry-run --json", f"{DOCUMENTS}:BenchPreview"),
    "top": ("a line of top --json", f"{DOCUMENTS}:Top"),
    "rig": ("rig up --json", f"{DOCUMENTS}:RigUp"),
    "rig-status": ("rig status --json", f"{DOCUMENTS}:RigStatus"),
    "rig-saved": ("rig snapshot NAME --json", f"{DOCUMENTS}:RigSaved"),
    "rig-states": ("rig snapshot --list --json", f"{DOCUMENTS}:RigStates"),
    "support-bundle": ("support-bundle --json", f"{DOCUMENTS}:SupportBundle"),
    "event": ("progress on stderr with --json, line by line", f"{DOCUMENTS}:Event"),
    "error": ("--json of a command that fails", f"{DOCUMENTS}:Error"),
    "hosts": ("--json of a command for several hosts", f"{DOCUMENTS}:Hosts"),
}
"""Name → what has that form, and where it is defined: a type, a table of types, or a function that returns the schema."""


@click.command(epilog="Names: " + "; ".join(f"{name}: {what}" for name, (what, _) in SCHEMAS.items()) + ".")
@click.argument("name", type=Choice(list(SCHEMAS)), metavar="NAME")
def command(name: str) -> None:
    """Print the JSON Schema of a file or of a --json output."""
    import json

    click.echo(json.dumps(schema_of(name), indent=2))


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a document, draft 2020-12."""
    from importlib import import_module
    from inspect import isfunction

    from ouchi.core.plain import json_schema

    what, location = SCHEMAS[name]
    module, _, attribute = location.partition(":")
    found = getattr(import_module(module), attribute)
    if isfunction(found):
        return dict(found())
    kind = found[name] if isinstance(found, Mapping) else found
    # Runs are written by pydantic itself, with what it computes of them.
    return json_schema(kind, f"ouchi: {what}", "serialization" if location == MEASURE else "validation")
