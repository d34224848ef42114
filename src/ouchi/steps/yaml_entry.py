"""An entry in a YAML file that is the user's: added, and taken out again without touching the rest.

A key is ``PATH:MEMBER.MEMBER``. The state: ``text`` of the file, its ``mode``, and the ``entry``; ``None``: no file.
The file is restored byte for byte, unless it was changed since: then only the entry is removed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ouchi.core.errors import Failed
from ouchi.machine import Machine
from ouchi.steps import Change, Kind, Record, State


def yaml_entry(path: str, members: str, entry: dict[str, Any], *, mode: int = 0o644) -> Change:
    """The file has this entry at ``members`` (``clouds.ouchi``); ``mode`` is that of a new file."""
    return Change("yaml", f"{path}:{members}", {"entry": entry, "mode": mode})


class YamlEntryKind(Kind):
    """An entry of a mapping of mappings. Raises :class:`~ouchi.core.errors.Failed` for a file that holds something else."""

    name = "yaml"
    drifts = False

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        return {key: _look(machine, *_split(key)) for key in keys}

    def plan(self, change: Change, now: State, record: Record | None) -> tuple[State, State]:
        before = self.current(record, now).before if record else now
        if now and now["entry"] == change.state["entry"]:
            return before, now
        path, members = _split(change.key)
        document = parse(path, now["text"] if now else "", members[0])
        mapping = document
        for member in members[:-1]:
            mapping = mapping.setdefault(member, {})
        mapping[members[-1]] = change.state["entry"]
        return before, {**(now or change.state), "text": _dump(document), "entry": change.state["entry"]}

    def current(self, record: Record, now: State) -> Record:
        """A file that others have changed keeps their text, and one that they have removed is not made again."""
        if now is None or now["text"] in [state["text"] for state in (record.before, record.after) if state]:
            return replace(record, before=now and record.before)
        path, members = _split(record.key)
        return replace(record, before=now | {"text": _without(path, now["text"], members)})

    def put(self, machine: Machine, key: str, state: State) -> None:
        path, _ = _split(key)
        folder = path.rpartition("/")[0]
        for name in machine.entries(folder):
            if name.startswith(".ouchi-"):  # a run was killed while it wrote
                machine.remove(f"{folder}/{name}")
        there = machine.exists(path)
        if state is None:
            machine.remove(path)
        elif not there or machine.read(path) != state["text"]:
            mode = state.get("mode") or (machine.mode(path) if there else 0o644)
            machine.write(path, state["text"], mode=mode)

    def describe(self, _key: str, state: State) -> list[str]:
        return [] if not (state and state.get("entry")) else _dump(state["entry"]).splitlines()


def parse(path: str, text: str, member: str) -> Any:
    """The file's mapping. Raises :class:`~ouchi.core.errors.Failed` where it, or its ``member``, is none."""
    try:
        document = YAML().load(text) if text.strip() else {}
    except YAMLError as reason:
        raise _unusable(path, str(reason), member) from None
    if not isinstance(document, dict) or not isinstance(document.get(member, {}), dict):
        raise _unusable(path, f"no mapping with `{member}`", member)
    return document


def _look(machine: Machine, path: str, members: Sequence[str]) -> State:
    if not machine.exists(path):
        return None
    text, entry = machine.read(path), None
    found: Any = parse(path, text, members[0])
    for member in members:
        found = found.get(member) if isinstance(found, dict) else None
    if found is not None:
        entry = json.loads(json.dumps(found, default=str))
    return {"text": text, "mode": machine.mode(path), "entry": entry}


def _without(path: str, text: str, members: Sequence[str]) -> str:
    document = parse(path, text, members[0])
    mapping = document
    for member in members[:-1]:
        mapping = mapping.get(member, {})
    mapping.pop(members[-1], None)
    return _dump(document)


def _split(key: str) -> tuple[str, list[str]]:
    path, _, members = key.rpartition(":")
    return path, members.split(".")


def _unusable(path: str, found: str, member: str) -> Failed:
    return Failed.of(
        "this file is not one that its programs can read",
        where=path,
        found=found,
        expected=f"a YAML mapping with `{member}`",
        remedy="correct or move the file, then: ouchi up",
    )


def _dump(document: Any) -> str:
    stream = io.StringIO()
    YAML().dump(document, stream)
    return stream.getvalue()
