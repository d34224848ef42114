"""The journal: what was there before ouchi changed it, on disk before the change is made."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any

from ouchi.machine import Machine


class Journal:
    """Records by kind and key in one file of the state folder; written whole and at once, so a kill leaves the old."""

    def __init__(self, machine: Machine, folder: str) -> None:
        self._machine = machine
        self._path = f"{folder}/journal.json"
        self._lock = threading.Lock()
        text = machine.read(self._path) if machine.exists(self._path) else "[]"
        self._entries: list[tuple[str, str, dict[str, Any]]] = [(k, key, record) for k, key, record in json.loads(text)]

    def note(self, kind: str, key: str, record: dict[str, Any]) -> dict[str, Any]:
        """Keep ``record`` unless that key is noted already (then that record, what was there before us, is returned)."""
        with self._lock:
            for known_kind, known_key, known in self._entries:
                if (known_kind, known_key) == (kind, key):
                    return known
            self._entries.append((kind, key, record))
            self._save()
            return record

    def amend(self, kind: str, key: str, members: dict[str, Any]) -> None:
        """Add or change members of a noted record, before a further change is made."""
        with self._lock:
            for known_kind, known_key, known in self._entries:
                if (known_kind, known_key) == (kind, key) and known | members != known:
                    known |= members
                    self._save()

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every record of a kind by key, oldest first."""
        with self._lock:
            return {key: dict(record) for known_kind, key, record in self._entries if known_kind == kind}

    def entries(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Every kind, key and record, oldest first."""
        with self._lock:
            return [(kind, key, dict(record)) for kind, key, record in self._entries]

    def note_all(self, entries: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
        """Keep or amend many records in one write. What was there ``before`` stays as it was first noted."""
        with self._lock:
            for kind, key, record in entries:
                known = next((old for k, other, old in self._entries if (k, other) == (kind, key)), None)
                if known is None:
                    self._entries.append((kind, key, record))
                else:
                    known |= {name: value for name, value in record.items() if name != "before" or name not in known}
            self._save()

    def forget(self, kind: str, key: str) -> None:
        """Drop a record once it has been undone."""
        with self._lock:
            self._entries = [entry for entry in self._entries if entry[:2] != (kind, key)]
            self._save()

    def _save(self) -> None:
        self._machine.write(self._path, json.dumps(self._entries, indent=1), mode=0o600)
