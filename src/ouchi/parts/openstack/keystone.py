"""Keystone: the identity API, its keys, and the first administrator."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping

from ouchi.core.events import Notify
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.openstack.api import Api, database, environment
from ouchi.parts.part import Endpoint, Listener
from ouchi.parts.settings import REGION, Settings
from ouchi.render.ini import Sections

KEYS = tuple(f"{folder}/{number}" for folder in ("fernet-keys", "credential-keys") for number in (0, 1))


class Keystone(Api):
    name = "keystone"
    ports = (Listener("keystone", 290, "keystone-api"),)
    secrets = ("admin", "keystone")
    schemas = ("keystone",)
    endpoint = Endpoint("identity", version="/v3", registered="/v3")
    service_names = ("keystone-api",)
    wsgi = "keystone.wsgi.api"
    configuration = "keystone/keystone.conf"

    def sections(self, settings: Settings) -> Sections:
        keys = f"{settings.instance.state}/keystone"
        return {
            "DEFAULT": {"use_stderr": True, "log_date_format": "%Y-%m-%dT%H:%M:%S"},
            "database": database(settings, "keystone"),
            "token": {"provider": "fernet", "expiration": 14400},
            "fernet_tokens": {"key_repository": f"{keys}/fernet-keys"},
            # Receipts are tokens of a kind; the same keys serve.
            "fernet_receipts": {"key_repository": f"{keys}/fernet-keys"},
            "credential": {"key_repository": f"{keys}/credential-keys"},
            "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
        }

    def variables(self, settings: Settings) -> Mapping[str, str]:
        return {"OS_KEYSTONE_CONFIG_DIR": f"{settings.instance.etc}/keystone"}

    def prepared(self, at: Context) -> str:
        whole = at.machine.exists(_mark(at.settings)) and not missing_keys(at.machine, at.settings)
        return "" if whole else "make its keys and the administrator"

    def prepare(self, at: Context, notify: Notify) -> str:
        at.machine.make_folder(f"{at.instance.run}/locks", mode=0o700)
        new = self.prepared(at)
        make_keys(at.machine, at.settings)
        return "made its keys and the administrator" if new else ""

    def wait(self, at: Context, *, started: bool) -> None:
        # The API loads while the administrator is made: both take seconds of imports.
        bootstrap(at.machine, at.settings)
        super().wait(at, started=started)


def missing_keys(machine: Machine, settings: Settings) -> list[str]:
    """Paths of the Fernet keys that are not there. 0 is staged, 1 is primary."""
    paths = [f"{settings.instance.state}/keystone/{name}" for name in KEYS]
    return [path for path in paths if not machine.exists(path)]


def make_keys(machine: Machine, settings: Settings) -> None:
    """Make the Fernet keys for tokens and credentials that are missing.

    ``keystone-manage fernet_setup`` writes the same (32 random bytes in URL-safe base64, the Fernet
    specification) after three seconds of imports, twice.
    """
    for path in missing_keys(machine, settings):
        machine.make_folder(path.rsplit("/", 1)[0], mode=0o700)
        machine.write(path, base64.urlsafe_b64encode(secrets.token_bytes(32)), mode=0o600)


def _mark(settings: Settings) -> str:
    return f"{settings.instance.state}/keystone/bootstrapped"


def bootstrap(machine: Machine, settings: Settings) -> None:
    """Make the administrator, its project and roles, and keystone's own endpoint, by keystone's own command."""
    if machine.exists(_mark(settings)):
        return
    public = f"{settings.url('keystone')}/v3"
    machine.run(
        (
            f"{settings.instance.openstack}/bin/keystone-manage",
            "--config-file",
            f"{settings.instance.etc}/keystone/keystone.conf",
            "bootstrap",
            *("--bootstrap-region-id", REGION),
            *("--bootstrap-public-url", public),
            *("--bootstrap-internal-url", public),
            *("--bootstrap-admin-url", public),
        ),
        # Through the environment: an argument would stand in ps.
        env={**environment(settings), "OS_BOOTSTRAP_PASSWORD": settings.secrets["admin"]},
        timeout=120,
    )
    machine.write(_mark(settings), "")


PARTS = (Keystone(),)
