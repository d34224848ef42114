"""Common to the OpenStack APIs: gunicorn, oslo settings, credentials, a database, a catalogue entry."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ouchi.clients.http import first_page, wait_for_api
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon, File
from ouchi.parts.part import PLAN, PartState
from ouchi.parts.settings import REGION, Settings
from ouchi.parts.supervise import Service
from ouchi.render.ini import Sections, ini_text

ANSWER_SECONDS = 5.0
"""Timeout for an API's version page, which needs neither a token nor the database."""


class Api(Daemon):
    """An API under gunicorn, as the service ``NAME-api``. Subclasses state its configuration and variables."""

    stage = "cloud"
    needs: ClassVar[tuple[str, ...]] = (PLAN, "mariadb", "openstack")
    on = "controller"
    wsgi: ClassVar[str]
    """The module with the WSGI application."""
    configuration: ClassVar[str]
    """The name of its configuration file below the instance's ``etc``."""

    def sections(self, settings: Settings) -> Sections:
        """The settings of its configuration file."""
        raise NotImplementedError

    def variables(self, settings: Settings) -> Mapping[str, str]:
        """Environment variables by which it finds its configuration."""
        raise NotImplementedError

    def files(self, at: Context) -> Mapping[str, File]:
        return {
            self.configuration: File(ini_text(self.sections(at.settings))),
            f"gunicorn/{self.name}.py": File(_gunicorn(self.name, self.wsgi, at.settings)),
        }

    def services(self, at: Context) -> Sequence[Service]:
        settings = at.settings
        # gunicorn's own arguments go through the environment, because the applications parse sys.argv.
        arguments = {"GUNICORN_CMD_ARGS": f"-c {settings.instance.etc}/gunicorn/{self.name}.py"}
        variables = environment(settings) | arguments | dict(self.variables(settings)) | dict(self.fingerprint(at))
        return [Service(f"{self.name}-api", (f"{settings.instance.openstack}/bin/gunicorn",), variables)]

    def look(self, at: Context) -> PartState:
        seen = super().look(at)
        if not seen.ok:
            return seen
        url, begin = at.settings.url(self.name), time.monotonic()
        remedy = f"ouchi logs {self.name}-api"
        try:
            code = first_page(url, ANSWER_SECONDS)
        except OSError as reason:
            return replace(seen, ok=False, state="silent", found=f"{url}: {reason}", remedy=remedy)
        took = f"HTTP {code} in {(time.monotonic() - begin) * 1000:.0f} ms, {seen.found}"
        if code >= 500:
            return replace(seen, ok=False, state="failing", found=took, remedy=remedy)
        return replace(seen, found=took)

    def wait(self, at: Context, *, started: bool) -> None:
        wait_for_api(self.name, at.settings.url(self.name))


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of every OpenStack program, with few malloc arenas: they save memory with many threads."""
    return {
        **settings.instance.environment,
        "PATH": f"{settings.instance.openstack}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
        # Some name their processes with setproctitle, which would write over the mark in /proc/PID/environ.
        "SPT_NOENV": "1",
    }


def common(settings: Settings, service: str) -> Sections:
    """Return the settings that every service has: logging, locks, credentials for keystone."""
    return {
        "DEFAULT": {"use_stderr": True, "debug": False, "log_date_format": "%Y-%m-%dT%H:%M:%S"},
        "oslo_concurrency": {"lock_path": f"{settings.instance.run}/locks"},
        "keystone_authtoken": {**credentials(settings, service), "www_authenticate_uri": settings.url("keystone")},
    }


def credentials(settings: Settings, service: str) -> dict[str, object]:
    """A service's user, as keystoneauth's options."""
    return {
        "auth_type": "password",
        "auth_url": f"{settings.url('keystone')}/v3",
        "username": service,
        "password": settings.secrets[service],
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
    }


def database(settings: Settings, service: str, schema: str = "") -> dict[str, object]:
    """A service's database, as oslo.db's options."""
    return {"connection": settings.database(service, schema), "max_pool_size": 5, "max_overflow": 10}


def _gunicorn(name: str, wsgi: str, settings: Settings) -> str:
    """gunicorn's own file. One process with threads: the machine is one user's, and memory is dear."""
    return (
        "# Written by ouchi; changes made here are lost.\n"
        f'wsgi_app = "{wsgi}:application"\n'
        f'bind = "{settings.controller}:{settings.ports[name]}"\n'
        'worker_class = "gthread"\n'
        "workers = 1\n"
        "threads = 8\n"
        "timeout = 300\n"
        "graceful_timeout = 5\n"
        f'proc_name = "ouchi-{name}"\n'
        # Its path would be the same for all of them.
        "control_socket_disable = True\n"
    )
