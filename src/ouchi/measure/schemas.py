"""The JSON Schemas of runs, comparisons and stream files."""

from __future__ import annotations

from typing import Any

from ouchi.core.plain import adapter, json_schema
from ouchi.measure.generator.stream_model import StreamFile
from ouchi.measure.runs.compare import ComparedRuns
from ouchi.measure.runs.model import Run, TrialRecord


def run_schema() -> dict[str, Any]:
    """A run, with the derived counts of its trials."""
    return _output_schema(Run, "ouchi: report --json and bench --json")


def trial_schema() -> dict[str, Any]:
    """A line of a run's ``trials.ndjson``."""
    return _output_schema(TrialRecord, "ouchi: a line of a run's trials.ndjson")


def compare_schema() -> dict[str, Any]:
    """A comparison of two runs."""
    return _output_schema(ComparedRuns, "ouchi: bench compare --json")


def stream_schema() -> dict[str, Any]:
    """A stream file."""
    return json_schema(StreamFile, "ouchi: the file that bench --stream reads")


def _output_schema(kind: type, title: str) -> dict[str, Any]:
    """The schema of what is written: computed fields included, no other members."""
    schema = adapter(kind).json_schema(mode="serialization")
    for each in (schema, *schema.get("$defs", {}).values()):
        if "properties" in each:
            each["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
