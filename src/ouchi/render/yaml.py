"""YAML that readers of version 1.1 (PyYAML, so Ansible) and of 1.2 read alike."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from ouchi.plan.target import Target
from ouchi.render.files import Rendered, comment, made_by


def yaml_text(content: Mapping[str, Any]) -> str:
    """The document. Every text is quoted: ``0000:05:00.0`` would be a number in base 60 otherwise, and ``no`` false."""
    writer = YAML()
    writer.width = 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    writer.dump(_quoted(content), out)
    return out.getvalue()


def yaml_file(target: Target, path: str, content: Mapping[str, Any], *remarks: str) -> Rendered:
    """A file of one document."""
    return Rendered(path, comment(made_by(target, *remarks)) + "---\n" + yaml_text(content))


def _quoted(value: Any) -> Any:
    match value:
        case str():
            return DoubleQuotedScalarString(value)
        case Mapping():
            return {str(key): _quoted(item) for key, item in value.items()}
        case list() | tuple():
            return [_quoted(item) for item in value]
        case _:
            return value
