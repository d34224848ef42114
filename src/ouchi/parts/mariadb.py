"""MariaDB on a private unix socket, with the schemas of every service."""

from __future__ import annotations

import importlib.resources

from ouchi.core.events import Say
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import Service
from ouchi.render.ini import ini_text

SCHEMAS = {
    "keystone": "keystone",
    "glance": "glance",
    "placement": "placement",
    "nova_api": "nova",
    "nova": "nova",
    "nova_cell0": "nova",
    "neutron": "neutron",
}
"""Every database and the service (and database user) it belongs to."""


def service(instance: Instance) -> Service:
    """mariadbd, in the foreground, on its socket alone."""
    return Service(
        "mariadb",
        ("/usr/sbin/mariadbd", f"--defaults-file={instance.etc}/mariadb.cnf"),
        instance.environment,
        user="mysql",
        stop_seconds=15,
    )


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


def initialise(machine: Machine, instance: Instance) -> Outcome:
    """Make the data folder; built beside it and renamed, so that a killed run leaves nothing that looks whole."""
    folder = f"{instance.state}/mariadb"
    if machine.exists(f"{folder}/mysql"):
        return nothing("the data folder is there")
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
    return changed("data folder made")


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


def load_schemas(machine: Machine, settings: Settings, say: Say) -> Outcome:
    """Users, databases and every service's tables.

    The tables come from dumps made by the services' own migrations (tools/make_schema.py), because running those
    takes a minute and a half of processor time. Rows of ``ouchi.loaded`` say which
    dumps are whole, so a killed run starts that one over.
    """
    instance = settings.instance
    sql(machine, instance, _users(settings))
    loaded = set(sql(machine, instance, "select name from ouchi.loaded").split())
    missing = [name for name in SCHEMAS if name not in loaded]
    for name in missing:
        say(f"schema {name}")
        dump = dump_text("nova" if name == "nova_cell0" else name)
        recreate = f"drop database if exists {name}; create database {name} character set utf8mb3; use {name};\n"
        finish = f"\ninsert into ouchi.loaded values ('{name}');\n"
        sql(machine, instance, recreate + "set foreign_key_checks=0;\n" + dump + finish, timeout=120)
    return changed(f"{len(missing)} schemas loaded") if missing else nothing("the schemas are there")


def dump_text(name: str) -> str:
    """The shipped dump of one database."""
    return (importlib.resources.files("ouchi.parts.openstack") / "data" / "schema" / f"{name}.sql").read_text("utf-8")


def empty_databases(settings: Settings) -> str:
    """SQL that makes every database, empty, and its user: what the services' own migrations start from."""
    made = [f"create database if not exists {name} character set utf8mb3;" for name in SCHEMAS]
    return "\n".join((*made, _users(settings)))


def _users(settings: Settings) -> str:
    """SQL that makes every user with today's password; safe to run again. The passwords are hexadecimal."""
    lines = [
        "create database if not exists ouchi;",
        "create table if not exists ouchi.loaded (name varchar(64) primary key);",
    ]
    lines += [
        f"create or replace user '{user}'@'localhost' identified by '{settings.secrets[user]}';"
        for user in sorted(set(SCHEMAS.values()))
    ]
    lines += [f"grant all on {name}.* to '{user}'@'localhost';" for name, user in SCHEMAS.items()]
    return "\n".join(lines)
