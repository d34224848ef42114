"""OVN: its two databases in one server, northd and this node's controller."""

from __future__ import annotations

from collections.abc import Mapping

from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.parts.ovs import environment
from ouchi.parts.supervise import Service

DATABASES = ("nb", "sb")


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


def create_databases(machine: Machine, instance: Instance) -> Outcome:
    """The northbound and southbound databases; kept by ``down``, because neutron's own database mirrors them."""
    machine.make_folder(f"{instance.state}/ovn", mode=0o700)
    machine.make_folder(f"{instance.run}/ovn")
    made = []
    for name in DATABASES:
        path = f"{instance.state}/ovn/{name}.db"
        if not machine.exists(path):
            machine.remove(f"{path}.new")
            machine.run(("ovsdb-tool", "create", f"{path}.new", f"/usr/share/ovn/ovn-{name}.ovsschema"))
            machine.run(("mv", f"{path}.new", path))
            made.append(name)
    return changed(f"databases made: {', '.join(made)}") if made else nothing("the databases are there")


def chassis(instance: Instance, host: str, physnets: Mapping[str, str]) -> dict[str, str]:
    """OVS's external-ids that make this node an OVN chassis. Tunnels are for other nodes; there are none."""
    return {
        "system-id": f"{instance.name}-{host}",
        "hostname": host,
        "ovn-remote": f"unix:{instance.ovn_socket}",
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": "127.0.0.1",
        "ovn-bridge-mappings": ",".join(f"{physnet}:{bridge}" for physnet, bridge in physnets.items()),
        "ovn-bridge-datapath-type": "netdev",
    }


def wait_until_ready(machine: Machine, instance: Instance, host: str) -> None:
    """Wait until this node is a chassis in the southbound database."""

    def probe() -> None:
        words = ("ovn-sbctl", f"--db=unix:{instance.ovn_socket}", "--no-leader-only", "--timeout=5")
        answer = machine.run((*words, "--bare", "--columns=hostname", "list", "Chassis"), check=False, timeout=10)
        if host not in answer.stdout.split():
            raise NotYet(answer.stderr.strip()[-200:] or f"chassis: {answer.stdout.split()}")

    wait_for("OVN's chassis", probe, seconds=60, remedy="ouchi logs ovn-controller")
