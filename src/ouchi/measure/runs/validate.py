"""JSON from a file that anybody may have written: numbers within reason, text that can be shown, nothing endless."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

LONGEST_TEXT = 2000
"""Characters of one text; more are cut off."""
LARGEST = 2.0**64
"""No number of a measurement is larger."""

_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
"""Control characters (a terminal obeys them), those that turn the direction of writing, halves of characters."""

T = TypeVar("T")


def parse(text: str) -> Any:
    """The value. Raises ValueError, with a sentence, for what is no JSON or beyond reason."""
    try:
        return _shown(json.loads(text, parse_constant=_number, parse_int=_whole, parse_float=_number))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shaped(kind: type[T], value: Any) -> T:
    """The value as a ``kind`` (a dataclass). Raises ValueError with what is amiss, at most three things."""
    try:
        validated: T = _adapter(cast("Hashable", kind)).validate_python(value)
    except ValidationError as reason:
        amiss = reason.errors(include_url=False, include_input=False, include_context=False)
        said = [f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg'].lower()}" for each in amiss]
        raise ValueError("; ".join([*said[:3], *(["…"] if len(said) > 3 else [])])) from None
    return validated


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        short = value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
        return _UNSHOWN.sub("\ufffd", _SPACE.sub(" ", short))
    if isinstance(value, dict):
        return {_shown(key): _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _whole(digits: str) -> int:
    if len(digits) > 21:
        raise ValueError(f"the number {digits[:12]}… is beyond reason")
    _number(digits)
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not abs(number) <= LARGEST:
        raise ValueError(f"the number {digits[:12]} is beyond reason")
    return number
