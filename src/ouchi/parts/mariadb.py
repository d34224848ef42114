"""MariaDB on a private unix socket, with the schemas of every service."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence

from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine, Reader
from ouchi.parts import registry
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon, File
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import Service
from ouchi.render.ini import ini_text

LOADED = """
set @query = if(
    exists(select 1 from information_schema.tables where table_schema = 'ouchi' and table_name = 'loaded'),
    'select name from ouchi.loaded',
    'do 0'
);
execute immediate @query;
"""
"""The names of the schemas that are loaded whole, also where there is no table of them yet."""


class MariaDb(Daemon):
    name = "mariadb"
    stage = "cloud"
    on = "controller"
    service_names = ("mariadb",)

    def files(self, at: Context) -> Mapping[str, File]:
        return {"mariadb.cnf": File(configuration(at.instance), mode=0o644)}

    def services(self, at: Context) -> Sequence[Service]:
        return [service(at.instance)]

    def prepared(self, at: Context) -> str:
        return "" if has_data(at.machine, at.instance) else "make its data folder"

    def prepare(self, at: Context, notify: Notify) -> str:
        at.machine.make_folder(f"{at.instance.run}/mariadb", mode=0o700, owner="mysql")
        return "made its data folder" if initialise(at.machine, at.instance) else ""

    def wait(self, at: Context, *, started: bool) -> None:
        wait_until_ready(at.machine, at.instance)

    def finished(self, at: Context) -> str:
        lost = _unloaded(at.machine, at.instance)
        return f"load the schemas {', '.join(lost)}" if lost else ""

    def finish(self, at: Context, notify: Notify) -> str:
        loaded = load_schemas(at.machine, at.settings, notify)
        return f"loaded the schemas {', '.join(loaded)}" if loaded else ""


def service(instance: Instance) -> Service:
    """mariadbd, in the foreground, on its socket alone."""
    argv = ("/usr/sbin/mariadbd", f"--defaults-file={instance.etc}/mariadb.cnf")
    return Service("mariadb", argv, instance.environment, user="mysql", stop_seconds=15)


def configuration(instance: Instance) -> str:
    """Small: the databases of one node fit in 64 MiB, and nothing but our own services connects."""
    return ini_text(
        {
            "mariadbd": {
                "datadir": f"{instance.state}/mariadb",
                "socket": instance.database_socket,
                "pid-file": f"{instance.run}/mariadb/mariadb.pid",
                "skip-networking": 1,
                "skip-name-resolve": 1,
                "skip-log-bin": 1,
                "performance_schema": "OFF",
                "innodb_buffer_pool_size": "64M",
                "innodb_log_file_size": "32M",
                # A power cut may lose the last second of the control plane's writes, never their consistency.
                "innodb_flush_log_at_trx_commit": 2,
                "key_buffer_size": "1M",
                "aria_pagecache_buffer_size": "8M",
                "table_open_cache": 600,
                "max_connections": 200,
                "character-set-server": "utf8mb3",
            }
        }
    )


def has_data(machine: Reader, instance: Instance) -> bool:
    """True when the data folder is whole."""
    return machine.exists(f"{instance.state}/mariadb/mysql")


def initialise(machine: Machine, instance: Instance) -> bool:
    """Make the data folder where there is none; True when it was made.

    It is built beside its place and renamed, so that a killed run leaves nothing that looks whole.
    """
    if has_data(machine, instance):
        return False
    folder = f"{instance.state}/mariadb"
    new = f"{folder}.new"
    machine.remove(new)
    machine.run(
        (
            # It starts mariadbd: in a process namespace the two end together, and a killed run leaves nobody who
            # writes into the folder that the next one removes.
            *("unshare", "--pid", "--fork", "--kill-child", "--"),
            "mariadb-install-db",
            "--no-defaults",
            "--user=mysql",
            f"--datadir={new}",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
        ),
        timeout=120,
    )
    machine.run(("chmod", "0700", new))
    machine.run(("mv", "-T", new, folder))
    return True


def sql(machine: Machine, instance: Instance, statements: str, database: str = "", timeout: float = 60) -> str:
    """Run SQL as the database's root (unix socket authentication) and return its tab-separated rows."""
    argv = ["mariadb", "--no-defaults", "-S", instance.database_socket, "--batch", "--skip-column-names"]
    return machine.run([*argv, *([database] if database else [])], input=statements, timeout=timeout).stdout


def wait_until_ready(machine: Machine, instance: Instance) -> None:
    """Wait until the server answers."""

    def probe() -> None:
        answer = machine.run(
            ("mariadb", "--no-defaults", "-S", instance.database_socket, "-e", "select 1"), check=False, timeout=10
        )
        if not answer.ok:
            raise NotYet(answer.stderr.strip())

    wait_for("MariaDB", probe, seconds=60, remedy="ouchi logs mariadb")


def load_schemas(machine: Machine, settings: Settings, notify: Notify) -> list[str]:
    """Make users, databases and every service's tables; returns the names of the schemas that were loaded.

    The tables come from dumps made by the services' own migrations (tools/make_schema.py), because running those
    takes a minute and a half of processor time. Rows of ``ouchi.loaded`` say which
    dumps are whole, so a killed run starts that one over.
    """
    instance = settings.instance
    unloaded = _unloaded(machine, instance, _users(settings))
    for name in unloaded:
        notify(f"schema {name}")
        dump = dump_text("nova" if name == "nova_cell0" else name)
        recreate = f"drop database if exists {name}; create database {name} character set utf8mb3; use {name};\n"
        finish = f"\ninsert into ouchi.loaded values ('{name}');\n"
        sql(machine, instance, recreate + "set foreign_key_checks=0;\n" + dump + finish, timeout=120)
    return unloaded


def _unloaded(machine: Machine, instance: Instance, before: str = "") -> list[str]:
    """The schemas that are not loaded whole, once the statements ``before`` have run."""
    loaded = sql(machine, instance, f"{before}\n{LOADED}").split()
    return [name for name in registry.schemas() if name not in loaded]


def dump_text(name: str) -> str:
    """The shipped dump of one database."""
    return (importlib.resources.files("ouchi.parts.openstack") / "data" / "schema" / f"{name}.sql").read_text("utf-8")


def empty_databases(settings: Settings) -> str:
    """SQL that makes every database, empty, and its user: what the services' own migrations start from."""
    made = [f"create database if not exists {name} character set utf8mb3;" for name in registry.schemas()]
    return "\n".join((*made, _users(settings)))


def _users(settings: Settings) -> str:
    """SQL that makes every user with today's password; safe to run again. The passwords are hexadecimal."""
    lines = [
        "create database if not exists ouchi;",
        "create table if not exists ouchi.loaded (name varchar(64) primary key);",
    ]
    lines += [
        f"create or replace user '{user}'@'localhost' identified by '{settings.secrets[user]}';"
        for user in sorted(set(registry.schemas().values()))
    ]
    lines += [f"grant all on {name}.* to '{user}'@'localhost';" for name, user in registry.schemas().items()]
    return "\n".join(lines)


PARTS = (MariaDb(),)
