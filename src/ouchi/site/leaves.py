"""The models walked beside the file's data: which field stands at a path, which values are right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ouchi.site.models import SiteFile
from ouchi.site.source import Path


def leaves(model: type[BaseModel], data: object, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of `data` that is right by itself, and the defaults of what it leaves out, by path."""
    if not isinstance(data, dict):
        return
    for name, field in model.model_fields.items():
        path, part = (*at, name), part_of(field)
        value = data.get(name)
        if part is None:
            yield from _leaf(model, name, data, path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from leaves(part, item, (*path, index))
        else:
            yield from leaves(part, value, path)


def model_at(path: Path, model: type[BaseModel] = SiteFile) -> type[BaseModel]:
    """The model that the mapping at `path` of a file of `model` is read as."""
    for name in path:
        if isinstance(name, str):
            model = part_of(model.model_fields[name]) or model
    return model


def field_at(path: Path, model: type[BaseModel] = SiteFile) -> FieldInfo | None:
    """The field whose value stands at `path`; None for the file and for an item of a list."""
    return model_at(path[:-1], model).model_fields[str(path[-1])] if path and isinstance(path[-1], str) else None


def part_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the field's value, or of its items when it is a list; None when it is a plain value."""
    kind: Any = field.annotation
    # What may be left out has None beside it; a list has its items' model inside.
    while not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        inside = get_args(kind)[:1]
        if not inside:
            return None
        (kind,) = inside
    return kind


def _leaf(model: type[BaseModel], name: str, data: dict[str, object], path: Path) -> Iterator[tuple[Path, Any]]:
    field = model.model_fields[name]
    if name not in data:
        if not field.is_required():
            yield path, field.get_default()
        return
    try:
        yield path, _adapter(model, name).validate_python(data[name])
    except ValidationError:
        return  # reported by the validation of the whole


@cache
def _adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    kind: Any = field.annotation
    for constraint in field.metadata:
        kind = Annotated[kind, constraint]
    return TypeAdapter(kind, config=ConfigDict(strict=True))
