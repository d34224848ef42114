"""A key of a map in the record of Open vSwitch, such as ``other_config:pmd-cpu-mask``. The state is its text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, Kind, Lasts, State


def setting(column: str, key: str, value: str, *then: str, socket: str = "") -> Change:
    """A key of the Open_vSwitch record.

    ``socket``: that of another database than the distribution's. It is of a session of ouchi's, so its settings end with it.
    """
    database = f"unix:{socket} " if socket else ""
    return Change("ovsdb", f"{database}{column}:{key}", value, then, Lasts.PROCESS if socket else Lasts.UNDO)


class OvsdbKind(Kind):
    """``COLUMN:KEY``, after a database and a space where it is not the distribution's."""

    name = "ovsdb"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        found: dict[str, State] = {}
        for database in dict.fromkeys(_split(key)[0] for key in keys):
            chosen = [key for key in keys if _split(key)[0] == database]
            columns = ",".join(dict.fromkeys(_split(key)[1] for key in chosen))
            argv = (*_vsctl(database), "--format=json", f"--columns={columns}", "list", "Open_vSwitch")
            answer = json.loads(machine.run(argv, timeout=20).stdout)
            row = {name: dict(cell[1]) for name, cell in zip(answer["headings"], answer["data"][0], strict=True)}
            found |= {key: row[_split(key)[1]].get(_split(key)[2]) for key in chosen}
        return found

    def script(self, key: str, state: State) -> str:
        database, column, name = _split(key)
        words = ("remove", column, name) if state is None else ("set", f"{column}:{name}={json.dumps(state)}")
        return shlex.join((*_vsctl(database), words[0], "Open_vSwitch", ".", *words[1:])) + "\n"


def _split(key: str) -> tuple[str, str, str]:
    """Database, column and key."""
    database, _, rest = key.rpartition(" ")
    column, _, name = rest.partition(":")
    return database, column, name


def _vsctl(database: str) -> tuple[str, ...]:
    # A setting of ouchi's own database is read again at once: wait until ovs-vswitchd has applied it.
    return ("ovs-vsctl", f"--db={database}" if database else "--no-wait", "--timeout=10")
