"""Make the dumps in src/ouchi/parts/openstack/data/schema anew, by the services' own migrations.

Run as root after OpenStack's lock has changed, with ouchi's environment and a prepared host (``ouchi up --until
prepare``): ``.venv/bin/python tools/make_schema.py [FOLDER]``. The dumps hold no secrets: nova's cells are mapped by
templates that each installation fills in from its own configuration.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.parts import mariadb, registry
from ouchi.parts.openstack.api import Api, environment
from ouchi.parts.secrets import make_secrets
from ouchi.parts.settings import Settings
from ouchi.parts.supervise.supervisord import SupervisordSupervisor
from ouchi.render.ini import ini_text

TARGET = Path(__file__).parents[1] / "src" / "ouchi" / "parts" / "openstack" / "data" / "schema"
CELL = "{scheme}://{username}:{password}@{hostname}/{path}"


def make_dumps(folder: str, openstack: str) -> dict[str, str]:
    """Every shipped dump by its name, made in a scratch ``folder`` with the environment at ``openstack``."""
    machine = LocalMachine()
    instance = Instance("ouchi-schema", f"{folder}/state", f"{folder}/run", f"{folder}/logs")
    for path in (folder, instance.state, instance.run, instance.logs, instance.etc):
        machine.make_folder(path)
    secrets = make_secrets(machine, instance, registry.secrets())
    settings = Settings(instance, secrets, registry.ports(), "schema", {}, ("physnet1",), emulated=True)
    for api in (part for part in registry.all_parts() if isinstance(part, Api)):
        path = f"{instance.etc}/{api.configuration}"
        machine.make_folder(path.rsplit("/", 1)[0])
        machine.write(path, ini_text(api.sections(settings)).replace(instance.openstack, openstack))
    machine.write(f"{instance.etc}/placement/policy.yaml", "{}\n")
    machine.write(f"{instance.etc}/mariadb.cnf", mariadb.configuration(instance))
    machine.make_folder(f"{instance.run}/mariadb", owner="mysql")
    mariadb.initialise(machine, instance)
    supervisor = SupervisordSupervisor(machine, instance)
    supervisor.start([mariadb.service(instance)])
    try:
        mariadb.wait_until_ready(machine, instance)
        mariadb.sql(machine, instance, mariadb.empty_databases(settings))
        for words in _migrations(instance):
            machine.run((f"{openstack}/bin/{words[0]}", *words[1:]), timeout=300, env=environment(settings))
        return {name: _dump(machine, instance, name) for name in registry.schemas() if name != "nova_cell0"}
    finally:
        supervisor.shutdown()


def _migrations(instance: Instance) -> list[tuple[str, ...]]:
    def config(name: str) -> tuple[str, str]:
        return ("--config-file", f"{instance.etc}/{name}")

    nova = ("nova-manage", *config("nova/nova.conf"))
    cells = ("--database_connection", CELL + "?{query}")
    transport = ("--transport-url", "{scheme}://{username}:{password}@{hostname}:{port}/{path}")
    return [
        ("keystone-manage", *config("keystone/keystone.conf"), "db_sync"),
        ("glance-manage", *config("glance/glance-api.conf"), "db_sync"),
        ("placement-manage", *config("placement/placement.conf"), "db", "sync"),
        (*nova, "api_db", "sync"),
        (*nova, "cell_v2", "map_cell0", "--database_connection", CELL + "_cell0?{query}"),
        (*nova, "db", "sync"),
        (*nova, "cell_v2", "create_cell", "--name", "cell1", *cells, *transport),
        ("neutron-db-manage", *config("neutron/neutron.conf"), "upgrade", "heads"),
    ]


def _dump(machine: LocalMachine, instance: Instance, name: str) -> str:
    words = ("mariadb-dump", "--no-defaults", "-S", instance.database_socket, "--skip-comments", "--skip-dump-date")
    return machine.run((*words, "--compact", name), timeout=60).stdout


def tables(dump: str) -> list[str]:
    """What a dump says about tables, without the rows and in an order that does not depend on the run."""
    lines = re.findall(r"^(?:CREATE TABLE|  ).*$", dump, re.MULTILINE)
    return sorted(line.rstrip(",") for line in lines)


def heads(dump: str) -> str:
    """The migrations that a dump says were run: the rows of ``alembic_version``."""
    found = re.search(r"INSERT INTO `alembic_version` VALUES\n(.*?);", dump, re.DOTALL)
    return found[1] if found else ""


def main(target: Path) -> None:
    """Write the dumps into a folder."""
    with tempfile.TemporaryDirectory(prefix="ouchi-schema-") as scratch:
        # MariaDB runs as its own user.
        Path(scratch).chmod(0o755)
        for name, text in make_dumps(scratch, Instance().openstack).items():
            (target / f"{name}.sql").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
