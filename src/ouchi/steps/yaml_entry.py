"""An entry in a YAML file that is the user's: added, and taken out again without touching the rest.

A key is ``PATH:MEMBER.MEMBER``. The state: ``text`` of the file, its ``mode`` and ``owner`` (``UID:GID``), and the
``entry``; ``None``: no file. The file is restored byte for byte, unless it was changed since: then only the entry is.
Of a path that is a link, the file that it leads to is changed, and the link stays.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ruamel.yaml.error import YAMLError

from ouchi.core.errors import Failed
from ouchi.machine import Machine
from ouchi.machine.owners import require_own
from ouchi.steps import Change, Kind, Record, State
from ouchi.steps.file import FileKind
from ouchi.steps.yaml_lines import dump, round_trip, yaml_lines

FILE = FileKind()
GROUP_AND_OTHERS = 0o077


def yaml_entry(path: str, members: str, entry: dict[str, Any], *, mode: int = 0o644) -> Change:
    """The file has this entry at ``members`` (``clouds.ouchi``).

    ``mode`` is that of a new file; one that only its owner may read holds a secret: then nobody else may read a file that
    was there either, while the entry is in it.
    """
    return Change("yaml", f"{path}:{members}", {"entry": entry, "mode": mode})


class YamlEntryKind(Kind):
    """An entry of a mapping of mappings. Raises :class:`~ouchi.core.errors.Failed` for a file that holds something else."""

    name = "yaml"
    drifts = False

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        return {key: _look(machine, *_split(key)) for key in keys}

    def plan(self, change: Change, now: State, record: Record | None) -> tuple[State, State]:
        before = self.current(record, now).before if record else now
        secret = not change.state["mode"] & GROUP_AND_OTHERS
        mode = now["mode"] & ~GROUP_AND_OTHERS if now and secret else (now or change.state)["mode"]
        after = {**(now or change.state), "mode": mode}
        if now and now["entry"] == change.state["entry"]:
            return before, after
        path, members = _split(change.key)
        text = _with(path, now["text"] if now else "", members, change.state["entry"])
        return before, {**after, "text": text, "entry": change.state["entry"]}

    def current(self, record: Record, now: State) -> Record:
        """A file that others have changed keeps their text, owner and mode, and one that they have removed is not made again."""
        before, after = record.before, record.after
        if now is None:
            return replace(record, before=None)
        if now["text"] in [state["text"] for state in (before, after) if state]:
            if before is None:
                return record
            text, entry = before["text"], before.get("entry")
        else:
            path, members = _split(record.key)
            entry = before.get("entry") if before else None
            text = _with(path, now["text"], members, entry)
        mode = before.get("mode", now["mode"]) if before and now["mode"] == after.get("mode") else now["mode"]
        return replace(record, before={**now, "text": text, "entry": entry, "mode": mode})

    def put(self, machine: Machine, key: str, state: State) -> None:
        path, _ = _split(key)
        folder = path.rpartition("/")[0]
        for name in machine.entries(folder):
            if name.startswith(".ouchi-"):  # a former version was killed while it wrote
                machine.remove(f"{folder}/{name}")
        content = None
        if state is not None:
            content = {
                "file": base64.b64encode(state["text"].encode()).decode(),
                "mode": f"{state.get('mode', 0o600):o}",
            }
            content |= {"owner": state["owner"]} if "owner" in state else {}
        FILE.put(machine, _leads_to(machine, path), content)

    def describe(self, _key: str, state: State) -> list[str]:
        return [] if not (state and state.get("entry")) else dump(state["entry"]).splitlines()


def parse(path: str, text: str, member: str) -> Any:
    """The file's mapping. Raises :class:`~ouchi.core.errors.Failed` where it, or its ``member``, is none."""
    try:
        document = round_trip().load(text) if text.strip() else {}
    except (YAMLError, ValueError, RecursionError) as reason:
        raise _unusable(path, str(reason), member) from None
    if document is None:  # comments only
        return {}
    if not isinstance(document, dict) or not isinstance(document.get(member) or {}, dict):
        raise _unusable(path, f"no mapping with `{member}`", member)
    return document


def _look(machine: Machine, path: str, members: Sequence[str]) -> State:
    real = _leads_to(machine, path)
    state = FILE.look(machine, [real])[real]
    if state is None:
        return None
    if "file" not in state:
        raise _unusable(path, "a link that leads to itself" if "link" in state else "no regular file", members[0])
    try:
        text = base64.b64decode(state["file"]).decode()
    except UnicodeDecodeError as reason:
        raise _unusable(path, str(reason), members[0]) from None
    found: Any = parse(path, text, members[0])
    for member in members:
        found = found.get(member) if isinstance(found, dict) else None
    entry = None if found is None else json.loads(json.dumps(found, default=str))
    return {"text": text, "mode": int(state["mode"], 8), "owner": state["owner"], "entry": entry}


def _leads_to(machine: Machine, path: str) -> str:
    """The path, or what the link there leads to. Raises :class:`~ouchi.core.errors.BadInput` for a folder of another user."""
    if machine.kind(path) != "link":
        return path
    require_own(path)
    return machine.run(("readlink", "-m", "--", path)).stdout.removesuffix("\n")


def _with(path: str, text: str, members: Sequence[str], entry: Any) -> str:
    """The text with an entry; without one where that is ``None``."""
    document = mapping = parse(path, text, members[0])
    comments = text if not document and "#" in text and "{" not in text else ""
    above = []
    for member in members[:-1]:
        if not isinstance(mapping.get(member), dict):
            if entry is None:
                return text
            mapping[member] = {}
        above.append(mapping)
        mapping = mapping[member]
    if entry is not None:
        there = members if members[-1] in mapping else []
        mapping[members[-1]] = entry
    elif members[-1] in mapping:
        there = list(members)
        del mapping[members[-1]]
        while above and not above[-1][there[-2]]:  # a mapping of nothing but our entry
            there.pop()
            del above.pop()[there[-1]]
    else:
        return text
    lines = yaml_lines(text, there) if there else None
    if lines:
        changed = lines.replaced({there[-1]: entry} if entry is not None else {})
        if parse(path, changed, members[0]) == document:
            return changed
    return f"{comments.rstrip()}\n{dump(document)}" if comments else dump(document)


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
