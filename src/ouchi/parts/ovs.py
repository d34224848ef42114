"""Our own OVS with DPDK: database, switch, and the settings of the plan.

It runs beside any other Open vSwitch of the machine, in a run folder of its own; only a second *userspace
datapath* in the same network namespace is impossible (both would make the device ``ovs-netdev``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ouchi.clients.ovs import appctl, quote, vsctl
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.parts.supervise import CONFIGURATION, Service, digest

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
INTEGRATION = "br-int"
DATAPATH = "ovs-netdev"
"""The device of the userspace datapath itself."""


def environment(instance: Instance) -> dict[str, str]:
    """What OVS's programs and tools find this instance by; DPDK's run folder goes into ours as well."""
    return {
        **instance.environment,
        "OVS_RUNDIR": instance.ovs,
        "OVS_DBDIR": instance.ovs,
        "OVS_LOGDIR": instance.logs,
        "RUNTIME_DIRECTORY": f"{instance.run}/dpdk",
    }


def services(instance: Instance, other_config: Mapping[str, str] = MappingProxyType({})) -> tuple[Service, Service]:
    """ovsdb-server and ovs-vswitchd, in the foreground; DPDK reads the plan only when ovs-vswitchd starts."""
    database = Service(
        "ovsdb",
        (
            "/usr/sbin/ovsdb-server",
            f"{instance.ovs}/conf.db",
            f"--remote=punix:{instance.ovs_socket}",
            f"--pidfile={instance.ovs}/ovsdb-server.pid",
            f"--unixctl={instance.ovs}/ovsdb-server.ctl",
            "-vsyslog:off",
        ),
        environment(instance),
    )
    switch = Service(
        "ovs-vswitchd",
        (
            f"{instance.etc}/ovs/ovs-vswitchd",
            f"unix:{instance.ovs_socket}",
            f"--pidfile={instance.ovs}/ovs-vswitchd.pid",
            "-vsyslog:off",
        ),
        environment(instance) | {CONFIGURATION: digest(sorted(other_config.items()))},
    )
    return database, switch


def create_database(machine: Machine, instance: Instance) -> Outcome:
    """A fresh configuration database: the plan is written into it on every start, so nothing old can linger."""
    machine.make_folder(instance.ovs)
    machine.make_folder(f"{instance.run}/dpdk", mode=0o700)
    # The guests' QEMU makes its sockets here; setgid so that OVS and QEMU agree on the group.
    machine.make_folder(instance.vhost, mode=0o2775, owner="libvirt-qemu")
    # By this name, not the package's, ovs-appctl finds its control socket.
    machine.make_folder(f"{instance.etc}/ovs")
    machine.run(("ln", "-sfn", VSWITCHD, f"{instance.etc}/ovs/ovs-vswitchd"))
    if machine.exists(f"{instance.ovs}/conf.db"):
        return nothing("the database is there")
    new = f"{instance.ovs}/conf.db.new"
    machine.remove(new)
    machine.run(("ovsdb-tool", "create", new, SCHEMA))
    machine.run(("mv", new, f"{instance.ovs}/conf.db"))
    return changed("database made")


def wait_for_database(machine: Machine, instance: Instance) -> None:
    """Wait until ovsdb-server answers."""

    def probe() -> None:
        words = ("ovs-vsctl", f"--db=unix:{instance.ovs_socket}", "--no-wait", "--timeout=5", "init")
        answer = machine.run(words, check=False, timeout=10)
        if not answer.ok:
            raise NotYet(answer.stderr.strip()[-200:])

    wait_for("OVS's database", probe, seconds=30, remedy="ouchi logs ovsdb")


def configure(
    machine: Machine, instance: Instance, other_config: Mapping[str, str], external_ids: Mapping[str, str]
) -> None:
    """Write the plan into the database; DPDK's part is read when ovs-vswitchd starts."""
    words: list[str] = ["--", "set", "Open_vSwitch", "."]
    words += [f"other_config:{key}={quote(value)}" for key, value in other_config.items()]
    words += [f"external_ids:{key}={quote(value)}" for key, value in external_ids.items()]
    vsctl(machine, instance, *words)


def wait_for_switch(machine: Machine, instance: Instance) -> None:
    """Wait until ovs-vswitchd runs with DPDK."""

    def probe() -> None:
        if vsctl(machine, instance, "get", "Open_vSwitch", ".", "dpdk_initialized").strip() != "true":
            raise NotYet("DPDK is not initialised")
        answer = appctl(machine, instance, "version", check=False)
        if not answer.ok:
            raise NotYet(answer.stderr.strip()[-200:])

    wait_for("OVS-DPDK", probe, seconds=60, remedy="ouchi logs ovs-vswitchd")


def create_bridges(machine: Machine, instance: Instance, physnets: Mapping[str, str]) -> None:
    """br-int and one bridge for each physnet, all in the userspace datapath (patch ports join no others)."""
    words: list[str] = []
    for name in (INTEGRATION, *physnets.values()):
        words += ["--", "--may-exist", "add-br", name, "--", "set", "Bridge", name, "datapath_type=netdev"]
        words += [f"external_ids:ouchi={instance.name}"]
    words += ["--", "set", "Bridge", INTEGRATION, "fail_mode=secure"]
    vsctl(machine, instance, *words, wait=30)
