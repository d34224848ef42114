"""Measuring with the traffic generator: paths, searches, runs."""

from collections.abc import Mapping
from typing import Any

from ouchi.measure.generator.stream_model import StreamFile
from ouchi.measure.runs.compare import ComparedRuns
from ouchi.measure.runs.model import Run, TrialRecord

SCHEMAS: Mapping[str, Any] = {"run": Run, "trial": TrialRecord, "compare": ComparedRuns, "stream": StreamFile}
"""The JSON documents of measurements, by name: types for pydantic. ``stream`` is a YAML file."""
