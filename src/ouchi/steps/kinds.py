"""Every kind of change, by its name in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ouchi.steps import Kind
from ouchi.steps.alternative import AlternativeKind
from ouchi.steps.command import CommandKind
from ouchi.steps.device import DeviceKind, NamespaceKind
from ouchi.steps.driver import DriverKind
from ouchi.steps.file import FileKind, OneBootFileKind
from ouchi.steps.hugepages import HugepagesKind
from ouchi.steps.ovsdb import OvsdbKind
from ouchi.steps.sysfs import SysfsKind
from ouchi.steps.thread import ThreadKind
from ouchi.steps.tuned import TunedKind
from ouchi.steps.vfs import VfsKind
from ouchi.steps.yaml_entry import YamlEntryKind

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            FileKind(),
            OneBootFileKind(),
            DriverKind(),
            VfsKind(),
            AlternativeKind(),
            OvsdbKind(),
            SysfsKind(),
            TunedKind(),
            HugepagesKind(),
            DeviceKind(),
            NamespaceKind(),
            YamlEntryKind(),
            ThreadKind(),
            CommandKind(),
        )
    }
)
