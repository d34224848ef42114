"""A key of a map in the distribution's Open vSwitch, such as ``other_config:pmd-cpu-mask``. The state is its text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, State

KIND = "ovsdb"


def setting(column: str, key: str, value: str, *then: str) -> Change:
    """A key of the Open_vSwitch record."""
    return Change(KIND, f"{column}:{key}", value, then)


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """The values of the record's keys. Raises :class:`~ouchi.machine.CommandFailed` when the database does not answer."""
    columns = tuple(dict.fromkeys(key.partition(":")[0] for key in keys))
    argv = (
        "ovs-vsctl",
        "--no-wait",
        "--timeout=10",
        "--format=json",
        f"--columns={','.join(columns)}",
        "list",
        "Open_vSwitch",
    )
    answer = json.loads(machine.run(argv, timeout=20).stdout)
    row = {name: dict(cell[1]) for name, cell in zip(answer["headings"], answer["data"][0], strict=True)}
    return {key: row[key.partition(":")[0]].get(key.partition(":")[2]) for key in keys}


def script(key: str, state: State) -> str:
    """Sets the key, or takes it away."""
    column, _, name = key.partition(":")
    if state is None:
        return f"ovs-vsctl --no-wait --timeout=10 remove Open_vSwitch . {shlex.join((column, name))}\n"
    return (
        f"ovs-vsctl --no-wait --timeout=10 set Open_vSwitch . {shlex.quote(f'{column}:{name}={json.dumps(state)}')}\n"
    )


def words(_key: str, state: State) -> list[str]:
    """The value."""
    return [] if state is None else [str(state)]
