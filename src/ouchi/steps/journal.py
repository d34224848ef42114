"""The journal: what was there before ouchi changed it, on disk before the change is made.

There is one file for each scope, in the same format. That of the session lies in the state folder of ``up`` and goes
with it; that of the machine outlasts ``down --purge``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from ouchi.core.errors import BadInput
from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.steps import Location, Record
from ouchi.steps.journal_v1 import upgraded

VERSION = 2


class Scope(StrEnum):
    """The command that undoes a change: ``session``: ``down``; ``machine``: ``undo``."""

    SESSION = "session"
    MACHINE = "machine"


def open_journal(machine: Machine, instance: Instance, scope: Scope) -> Journal:
    """Open the journal of a scope."""
    return Journal(machine, instance.host if scope is Scope.MACHINE else instance.state, scope)


class Journal:
    """Records by kind and key, oldest first, and named notes; written whole and at once, so a kill leaves the old file.

    Reads journals of version 1 too. Raises :class:`~ouchi.core.errors.BadInput` for one of a later version.
    """

    def __init__(self, machine: Machine, folder: str, scope: Scope = Scope.SESSION) -> None:
        self.machine = machine
        self.folder = folder
        self.scope = scope
        self._path = f"{folder}/journal.json"
        self._lock = threading.Lock()
        self._records: dict[Location, Record] = {}
        self._notes: dict[str, Any] = {}
        self._exists = machine.exists(self._path)
        if self._exists:
            try:
                self._read(json.loads(machine.read(self._path)))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
                raise BadInput.of(
                    "the journal is damaged, so what ouchi changed is not known",
                    where=self._path,
                    found=f"{type(reason).__name__}: {reason}"[:200],
                    expected="the JSON that ouchi wrote",
                    remedy=f"restore it from a backup; or sh {folder}/rescue.sh, where that is, undoes what apply changed; then: "
                    f"mv {self._path} {self._path}.damaged",
                ) from None

    def records(self, kind: str = "", step: str = "") -> tuple[Record, ...]:
        """Every record, or those of a kind or step."""
        with self._lock:
            found = tuple(self._records.values())
        return tuple(one for one in found if kind in ("", one.kind) and step in ("", one.step))

    def record(self, kind: str, key: str) -> Record | None:
        """The record of a key."""
        with self._lock:
            return self._records.get((kind, key))

    def put(self, records: Iterable[Record]) -> None:
        """Add or replace records, in one write."""
        fresh = tuple(records)  # which may ask this journal
        with self._lock:
            changed = {record.location: record for record in fresh if self._records.get(record.location) != record}
            self._records |= changed
            if changed:
                self._write()

    def forget(self, kind: str, key: str) -> None:
        """Drop a record once it has been undone."""
        with self._lock:
            if self._records.pop((kind, key), None):
                self._write()

    def note(self, name: str) -> Any:
        """The value of a note; ``None`` when there is none."""
        with self._lock:
            return self._notes.get(name)

    def set_note(self, name: str, value: Any) -> None:
        """Keep a note, or drop it where the value is empty."""
        with self._lock:
            before = dict(self._notes)
            self._notes = {key: kept for key, kept in {**before, name: value}.items() if kept}
            if self._notes != before:
                self._write()

    def _read(self, content: Any) -> None:
        if isinstance(content, list):
            records, self._notes = upgraded(content)
        elif content["version"] == VERSION:
            records = [Record(**record | {"then": tuple(record["then"])}) for record in content["records"]]
            self._notes = content["notes"]
        else:
            raise BadInput.of(
                "the journal was written by a later version of ouchi",
                where=self._path,
                found=f"version {content['version']}",
                expected=f"at most version {VERSION}",
                remedy="undo with the version that wrote it",
            )
        self._records = {record.location: record for record in records}

    def _write(self) -> None:
        content = {
            "version": VERSION,
            "scope": self.scope,
            "records": [asdict(record) for record in self._records.values()],
            "notes": self._notes,
        }
        if not self._exists:
            self.machine.make_folder(self.folder)
        self.machine.write(self._path, json.dumps(content, indent=1), mode=0o600)
        self._exists = True
