"""Journals of version 1, before they had a version: lists of kind, key and a record whose members depend on the kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ouchi.steps import Record

CHANGES = {
    "path": "file",
    "driver": "driver",
    "virtual functions": "VFs",
    "alternative": "alternative",
    "ovsdb": "ovsdb",
    "value": "sysfs",
    "tuned": "tuned",
    "unit": "one-boot file",
}
"""The kinds of ``apply``, and their names now."""


def upgraded(entries: Sequence[Any]) -> tuple[list[Record], dict[str, Any]]:
    """Return the records and the notes of a journal of version 1."""
    notes: dict[str, Any] = {}
    records: list[Record] = []
    for kind, key, old in entries:
        match kind:
            case "refresh":
                notes.setdefault("refresh", []).append(key)
            case "reboot":
                notes["reboot"] = old["boot"]
            case "words":
                notes["kernel parameters"] = old["words"]
            case _:
                records += _records(kind, key, old)
    return records, notes


def _records(kind: str, key: str, old: dict[str, Any]) -> Iterator[Record]:
    match kind:
        case "hugepages":
            yield _hugepages(key, old)
        case "device":
            if namespace := old["namespace"]:
                yield _namespace(f"/run/netns/{namespace}")
            yield Record("devices", "device", key, None, old, in_progress=True)
        case "netns":
            yield _namespace(key)
        case "clouds" if not old:
            yield Record("clouds.yaml", "file", key, None, {"folder": True}, in_progress=True)
        case "clouds":
            before = None if old["before"] is None else {"text": old["before"]}
            after = {"text": old.get("ours")}
            yield Record("clouds.yaml", "yaml", f"{key}:clouds.ouchi", before, after, in_progress="ours" not in old)
        case "policy-rc.d":
            yield Record("packages", "file", key, None, {"other": "a file of ouchi's"}, in_progress=True)
        case "libvirt":
            yield Record("libvirt", "file", key, None, {"folder": True}, in_progress=True)
        case _:
            then = tuple(old["then"])
            yield Record(old["step"], CHANGES[kind], key, old["before"], old["after"], then, old["doing"])


def _namespace(path: str) -> Record:
    return Record("devices", "netns", path, None, True, in_progress=True)


def _hugepages(key: str, old: dict[str, Any]) -> Record:
    if (others := old.get("others")) is not None:
        after = {"pages": others + old["ours"]}
        return Record("hugepages", "hugepages", key, {"pages": others}, after, in_progress=True)
    after = {"pages": old["before"] + (old["ours"] if old["reserved"] else 0)}
    at_boot = {"at_boot": True} if old.get("set aside") else {}
    return Record("hugepages", "hugepages", key, {"pages": old["before"]}, after | at_boot)
