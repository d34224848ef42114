"""Passwords: generated once for an instance, kept in one file that only root reads."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from ouchi.core.instance import Instance
from ouchi.core.redact import add_secrets
from ouchi.machine import Machine

NAMES = ("admin", "keystone", "nova", "neutron", "glance", "placement", "rabbitmq", "erlang_cookie")


def load_secrets(machine: Machine, instance: Instance) -> Mapping[str, str]:
    """This instance's passwords by name; missing ones are generated and kept first."""
    path = f"{instance.state}/secrets.json"
    known: dict[str, str] = json.loads(machine.read(path)) if machine.exists(path) else {}
    missing = {name: secrets.token_hex(24) for name in NAMES if name not in known}
    if missing:
        known |= missing
        machine.write(path, json.dumps(known, indent=2), mode=0o600)
    add_secrets(known.values())
    return known
