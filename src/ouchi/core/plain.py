"""Frozen values as plain JSON and back, by pydantic, which is imported when first needed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter

STRICT: Mapping[str, Any] = {"extra": "forbid"}
"""``__pydantic_config__`` of dataclasses that refuse unknown members; those inside it inherit it."""

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """`value` as JSON types: dataclasses and pydantic models as objects, tuples as lists, enumerations as text."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def from_json(kind: type[T], text: bytes) -> T:
    """The `kind` that a JSON document holds, without conversion of types. Raises pydantic's ValidationError.

    Unknown members of dataclasses are ignored unless the class sets ``__pydantic_config__``.
    """
    return cast("T", adapter(cast("Hashable", kind)).validate_json(text, strict=True))


def json_schema(kind: Any, title: str, mode: Literal["validation", "serialization"] = "validation") -> dict[str, Any]:
    """The JSON Schema of a type, draft 2020-12; ``serialization`` with computed members, and none may be missing."""
    from pydantic.json_schema import GenerateJsonSchema

    class WithoutFieldNames(GenerateJsonSchema):
        """Titles only where a field sets one: pydantic's own repeat its name."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    schema = adapter(cast("Hashable", kind)).json_schema(mode=mode, schema_generator=WithoutFieldNames)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


@cache
def adapter(kind: Hashable) -> TypeAdapter[Any]:
    """pydantic's adapter for a dataclass or model; built once, in some 10 ms for the facts of a host."""
    from pydantic import TypeAdapter

    return TypeAdapter(cast("type[Any]", kind))
