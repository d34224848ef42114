"""Passwords: generated once for an instance, kept in one file that only root reads."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence

from ouchi.core.instance import Instance
from ouchi.core.redact import add_secrets
from ouchi.machine import Machine, Reader


def read_secrets(machine: Reader, instance: Instance) -> Mapping[str, str]:
    """This instance's passwords by name, as far as they are made. Raises :class:`PermissionError` without root."""
    path = f"{instance.state}/secrets.json"
    found: dict[str, str] = json.loads(machine.read(path)) if machine.exists(path) else {}
    add_secrets(found.values())
    return found


def make_secrets(machine: Machine, instance: Instance, names: Sequence[str]) -> Mapping[str, str]:
    """The same, with those of ``names`` that are missing generated and kept first."""
    known = dict(read_secrets(machine, instance))
    if new := {name: secrets.token_hex(24) for name in names if name not in known}:
        known |= new
        machine.write(f"{instance.state}/secrets.json", json.dumps(known, indent=2), mode=0o600)
        add_secrets(known.values())
    return known
