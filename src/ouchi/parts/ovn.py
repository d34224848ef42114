"""OVN: its two databases in one server, northd and this node's controller."""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon
from ouchi.parts.ovs import environment
from ouchi.parts.supervise import Service

DATABASES = ("nb", "sb")


class Ovn(Daemon):
    name = "ovn"
    stage = "cloud"
    needs = ("bridges",)
    service_names = ("ovn-db", "ovn-northd", "ovn-controller")

    def services(self, at: Context) -> Sequence[Service]:
        return services(at.instance)

    def prepared(self, at: Context) -> str:
        lost = missing_databases(at.machine, at.instance)
        return f"make its databases {', '.join(lost)}" if lost else ""

    def prepare(self, at: Context, notify: Notify) -> str:
        made = create_databases(at.machine, at.instance)
        return f"made its databases {', '.join(made)}" if made else ""

    def wait(self, at: Context, *, started: bool) -> None:
        wait_until_ready(at.machine, at.instance, at.target.facts.system.hostname)


def services(instance: Instance) -> tuple[Service, ...]:
    """ovsdb-server for both databases, ovn-northd, ovn-controller."""
    own = environment(instance) | {"OVN_RUNDIR": f"{instance.run}/ovn", "OVN_LOGDIR": instance.logs}
    run = f"{instance.run}/ovn"
    databases = (
        "/usr/sbin/ovsdb-server",
        *(f"{instance.state}/ovn/{name}.db" for name in DATABASES),
        f"--remote=punix:{instance.ovn_socket}",
        f"--pidfile={run}/ovn-db.pid",
        f"--unixctl={run}/ovn-db.ctl",
        "-vsyslog:off",
    )
    northd = (
        "/usr/bin/ovn-northd",
        f"--ovnnb-db=unix:{instance.ovn_socket}",
        f"--ovnsb-db=unix:{instance.ovn_socket}",
        f"--pidfile={run}/ovn-northd.pid",
        f"--unixctl={run}/ovn-northd.ctl",
        "-vsyslog:off",
    )
    controller = (
        "/usr/bin/ovn-controller",
        f"unix:{instance.ovs_socket}",
        f"--pidfile={run}/ovn-controller.pid",
        "-vsyslog:off",
    )
    return (
        Service("ovn-db", databases, own),
        Service("ovn-northd", northd, own),
        Service("ovn-controller", controller, own),
    )


def missing_databases(machine: Machine, instance: Instance) -> list[str]:
    """The databases that are not there."""
    return [name for name in DATABASES if not machine.exists(f"{instance.state}/ovn/{name}.db")]


def create_databases(machine: Machine, instance: Instance) -> list[str]:
    """Make the databases that are missing and return which; kept by ``down``: neutron's own database mirrors them."""
    machine.make_folder(f"{instance.state}/ovn", mode=0o700)
    machine.make_folder(f"{instance.run}/ovn")
    made = missing_databases(machine, instance)
    for name in made:
        path = f"{instance.state}/ovn/{name}.db"
        machine.remove(f"{path}.new")
        machine.run(("ovsdb-tool", "create", f"{path}.new", f"/usr/share/ovn/ovn-{name}.ovsschema"))
        machine.run(("mv", f"{path}.new", path))
    return made


def wait_until_ready(machine: Machine, instance: Instance, host: str) -> None:
    """Wait until this node is a chassis in the southbound database."""

    def probe() -> None:
        words = ("ovn-sbctl", f"--db=unix:{instance.ovn_socket}", "--no-leader-only", "--timeout=5")
        answer = machine.run((*words, "--bare", "--columns=hostname", "list", "Chassis"), check=False, timeout=10)
        if host not in answer.stdout.split():
            raise NotYet(answer.stderr.strip()[-200:] or f"chassis: {answer.stdout.split()}")

    wait_for("OVN's chassis", probe, seconds=60, remedy="ouchi logs ovn-controller")


PARTS = (Ovn(),)
