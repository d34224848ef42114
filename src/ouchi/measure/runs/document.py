"""JSON of a run, read into dataclasses by pydantic.

Input is untrusted: numbers are bounded, texts are shortened and made printable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from ouchi.core.plain import adapter

MAX_TEXT = 2000
"""Characters of a text; longer ones are cut."""
MAX_NUMBER = 2.0**64
"""No number of a measurement is larger."""

_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
"""Control characters, which a terminal would act on, bidirectional overrides, and lone surrogates."""

T = TypeVar("T")


def parse(text: str) -> Any:
    """The JSON data in a text. Raises ValueError for invalid JSON and for numbers out of range."""
    try:
        return _printable(json.loads(text, parse_constant=_number, parse_int=_integer, parse_float=_number))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def load(kind: type[T], value: Any) -> T:
    """JSON data as a dataclass. Raises ValueError that names up to three mismatches."""
    try:
        loaded: T = adapter(cast("Hashable", kind)).validate_python(value)
    except ValidationError as reason:
        errors = reason.errors(include_url=False, include_input=False, include_context=False)
        texts = [f"{'.'.join(map(str, each['loc'])) or 'the document'}: {each['msg'].lower()}" for each in errors]
        raise ValueError("; ".join([*texts[:3], *(["…"] if len(texts) > 3 else [])])) from None
    return loaded


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        short = value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
        return _UNPRINTABLE.sub("\ufffd", _SPACE.sub(" ", short))
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value


def _integer(digits: str) -> int:
    if len(digits) > 21:
        raise ValueError(f"the number {digits[:12]}… is out of range")
    _number(digits)
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not abs(number) <= MAX_NUMBER:
        raise ValueError(f"the number {digits[:12]} is out of range")
    return number
