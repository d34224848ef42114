"""pydantic's errors → findings with their position in the file."""

from __future__ import annotations

import re

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ouchi.core.cpulist import HIGHEST_CPU, format_cpus
from ouchi.core.errors import error
from ouchi.site.leaves import field_at, model_at, part_of
from ouchi.site.models import SiteFile
from ouchi.site.source import Path, Placed, Source
from ouchi.site.text import did_you_mean, dotted, one_of, quoted, shown

_CLAIMS = {
    "greater_than_equal": "is out of range",
    "less_than_equal": "is out of range",
    "string_pattern_mismatch": "does not have the right form",
    "string_unicode": "has characters that are no text",
    "string_too_long": "is too long",
    "too_short": "is empty",
    "literal_error": "is none of the choices",
}
_TRUTH = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_NUMBER = re.compile(r"[0-9]{1,9}")


def schema_error(details: ErrorDetails, source: Source, model: type[BaseModel] = SiteFile) -> Placed:
    """One of pydantic's errors about ``source.data`` as a `model`, as a finding with its position."""
    path = details["loc"]
    if details["type"] == "extra_forbidden":
        return _unknown_key(path, source, model)
    if details["type"] == "missing":
        return _missing_key(path, source, model)
    return _wrong_value(path, details, source, model)


def _unknown_key(path: Path, source: Source, model: type[BaseModel]) -> Placed:
    key, known = str(path[-1]), model_at(path[:-1], model).model_fields
    unused = [name for name in known if (*path[:-1], name) not in source.keys]
    finding = error(
        f"there is no key {quoted(key)} in {dotted(path[:-1])}",
        where=source.at(source.keys[path]),
        found=quoted(key),
        expected=one_of(known),
        remedy=did_you_mean(key, unused),
    )
    return source.keys[path], finding


def _missing_key(path: Path, source: Source, model: type[BaseModel]) -> Placed:
    field, parent = field_at(path, model), path[:-1]
    present = [name for name in model_at(parent, model).model_fields if (*parent, name) in source.keys]
    finding = error(
        f"the key {path[-1]} is missing in {dotted(parent)}",
        where=source.where(parent),
        found=f"only {', '.join(present)}" if present else "no key that belongs here",
        expected=f"{path[-1]}: {field.description}" if field else "",
    )
    return source.position(parent), finding


def _wrong_value(path: Path, details: ErrorDetails, source: Source, model: type[BaseModel]) -> Placed:
    field, kind, value = field_at(path, model), details["type"], details["input"]
    found = shown(value)
    if kind == "value_error":
        claim = f"{dotted(path)} is wrong: {details['ctx']['error']}"
    elif kind in _CLAIMS:
        claim = f"{dotted(path)} {_CLAIMS[kind]}"
    else:
        claim = f"{dotted(path)} has the wrong type"
        found += " (text)" if isinstance(value, str) else ""
    expected = (
        field.description if field else f"a mapping with the keys {', '.join(model_at(path, model).model_fields)}"
    )
    remedy = _remedy(path, kind, value, model)
    finding = error(claim, where=source.where(path), found=found, expected=expected or "", remedy=remedy)
    return source.position(path), finding


def _remedy(path: Path, kind: str, value: object, model: type[BaseModel]) -> str:
    field = field_at(path, model)
    if value is None and field is not None:
        return f"give {path[-1]} a value" + (
            "" if field.is_required() or path == ("servers",) else ", or take the key away"
        )
    if field is None or part_of(field) is not None:
        return ""
    if isinstance(value, str):
        return _other_text(kind, value)
    if path[-1] == "memory" and type(value) is int:
        return f"write it with its unit: {value} MiB"
    if path[0] == "cpus":
        return _cpu_list(value)
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"write it as text, in quotes: {quoted(str(value).lower())}"
    return ""


def _other_text(kind: str, value: str) -> str:
    if kind == "int_type" and _NUMBER.fullmatch(value):
        return f"write it without quotes: {int(value)}"
    if kind in ("bool_type", "literal_error") and value.lower() in _TRUTH:
        return f"write {_TRUTH[value.lower()]}"
    return ""


def _cpu_list(value: object) -> str:
    items = value if isinstance(value, list) else [value]
    cpus = [item for item in items if type(item) is int and 0 <= item <= HIGHEST_CPU]
    return f"write it as text, in quotes: {quoted(format_cpus(cpus))}" if cpus and len(cpus) == len(items) else ""
