"""Every kind of change by its name in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from ouchi.steps import Kind, alternative, driver, ovsdb, tuned
from ouchi.steps import file as path
from ouchi.steps import sysfs as value
from ouchi.steps import vfs as functions

MODULES = (path, driver, functions, alternative, ovsdb, value, tuned)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {module.KIND: cast("Kind", module) for module in MODULES} | {"unit": cast("Kind", path)}
)
