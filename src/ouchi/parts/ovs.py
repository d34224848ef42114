"""Our own OVS with DPDK: database, switch, and the settings of the plan.

It runs beside any other Open vSwitch of the machine, in a run folder of its own; only a second *userspace
datapath* in the same network namespace is impossible (both would make the device ``ovs-netdev``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ouchi.checks.ovs.daemon import without_memory
from ouchi.clients.ovs import appctl, quote, tables, vsctl
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Failed, Finding, error
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.waiting import NotYet, wait_for
from ouchi.live.host import MACHINE, SWITCH, read
from ouchi.machine import Machine
from ouchi.parts import device
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon
from ouchi.parts.supervise import CONFIGURATION, Service, digest
from ouchi.plan.target import Target

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
DATAPATH = "ovs-netdev"
"""The device of the userspace datapath itself."""


class Ovs(Daemon):
    name = "ovs"
    stage = "dataplane"
    needs = ("hugetlbfs",)
    service_names = ("ovsdb", "ovs-vswitchd")

    def conflicts(self, at: Context) -> list[Finding]:
        return foreign_devices(at, (DATAPATH,))

    def services(self, at: Context) -> Sequence[Service]:
        # Only where another CPU would be first: else new threads may run wherever the system lets them.
        first = min(cpu.id for cpu in at.target.facts.cpus if cpu.online)
        cpus = at.target.switch_cpus
        return services(at.instance, at.target.plan.ovs_other_config, () if first in cpus else cpus)

    def prepared(self, at: Context) -> str:
        return "" if at.machine.exists(f"{at.instance.ovs}/conf.db") else "make its database"

    def finished(self, at: Context) -> str:
        changes = self._settings_to_change(at)
        return f"set {', '.join(changes)}" if changes else ""

    def make(self, at: Context, notify: Notify) -> Outcome:
        made = create_database(at.machine, at.instance)
        database, switch = self.services(at)
        started = at.supervisor.start([database])
        wait_for_database(at.machine, at.instance)
        settings = self._settings_to_change(at)
        # DPDK's part is read when ovs-vswitchd starts, so it is in the database before.
        configure(at.machine, at.instance, at.target.plan.ovs_other_config, self._identifiers(at))
        started += at.supervisor.start([switch])
        try:
            wait_for_switch(at.machine, at.instance)
        except Failed:
            if cause := cause_of_failure(at.machine, at.instance, at.target):
                raise Failed(cause) from None
            raise
        if started:
            return changed(f"started {', '.join(started)}")
        if settings or made:
            return changed(f"set {', '.join(settings)}")
        return nothing("running: ovsdb, ovs-vswitchd")

    def remove(self, at: Context) -> Outcome:
        """Stop it; its bridges' devices are persistent, so they outlive it and go now, with the endpoints' ones."""
        stopped, devices = super().remove(at), device.undo(at.journal)
        return (
            changed("; ".join(filter(None, [stopped.text if stopped.changed else "", *devices])))
            if (stopped.changed or devices)
            else stopped
        )

    def _identifiers(self, at: Context) -> Mapping[str, str]:
        return chassis(at.instance, at.target.facts.system.hostname, at.target.bridges)

    def _settings_to_change(self, at: Context) -> list[str]:
        """The keys of the database's settings that differ from the plan."""
        rows = tables(at.machine, at.instance, "Open_vSwitch", ("other_config", "external_ids"))
        found = rows[0] if rows else {}
        planned = {"other_config": at.target.plan.ovs_other_config, "external_ids": self._identifiers(at)}
        return [
            f"{column}:{key}"
            for column, values in planned.items()
            for key, value in values.items()
            if not isinstance(known := found.get(column), dict) or known.get(key) != value
        ]


def environment(instance: Instance) -> dict[str, str]:
    """Return the environment by which OVS's programs and tools find this instance; it has DPDK's run folder too."""
    return {
        **instance.environment,
        "OVS_RUNDIR": instance.ovs,
        "OVS_DBDIR": instance.ovs,
        "OVS_LOGDIR": instance.logs,
        "RUNTIME_DIRECTORY": f"{instance.run}/dpdk",
    }


def services(instance: Instance, settings: Mapping[str, str], cpus: Sequence[int] = ()) -> tuple[Service, Service]:
    """ovsdb-server and ovs-vswitchd, in the foreground; DPDK reads the plan only when ovs-vswitchd starts.

    ``cpus``: the CPUs of its threads other than PMD threads; all when empty.
    """
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
            *(("/usr/bin/taskset", "--cpu-list", format_cpus(cpus)) if cpus else ()),
            f"{instance.etc}/ovs/ovs-vswitchd",
            f"unix:{instance.ovs_socket}",
            f"--pidfile={instance.ovs}/ovs-vswitchd.pid",
            "-vsyslog:off",
        ),
        environment(instance) | {CONFIGURATION: digest(sorted(settings.items()))},
    )
    return database, switch


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


def create_database(machine: Machine, instance: Instance) -> bool:
    """Make a fresh configuration database where there is none; True when it was made.

    The plan is written into it on every start, so nothing old can linger.
    """
    machine.make_folder(instance.ovs)
    machine.make_folder(f"{instance.run}/dpdk", mode=0o700)
    # The guests' QEMU makes its sockets here; setgid so that OVS and QEMU agree on the group.
    machine.make_folder(instance.vhost, mode=0o2775, owner="libvirt-qemu")
    # By this name, not the package's, ovs-appctl finds its control socket.
    machine.make_folder(f"{instance.etc}/ovs")
    machine.run(("ln", "-sfn", VSWITCHD, f"{instance.etc}/ovs/ovs-vswitchd"))
    if machine.exists(f"{instance.ovs}/conf.db"):
        return False
    new = f"{instance.ovs}/conf.db.new"
    machine.remove(new)
    machine.run(("ovsdb-tool", "create", new, SCHEMA))
    machine.run(("mv", new, f"{instance.ovs}/conf.db"))
    return True


def wait_for_database(machine: Machine, instance: Instance) -> None:
    """Wait until ovsdb-server answers."""

    def probe() -> None:
        words = ("ovs-vsctl", f"--db=unix:{instance.ovs_socket}", "--no-wait", "--timeout=5", "init")
        answer = machine.run(words, check=False, timeout=10)
        if not answer.ok:
            raise NotYet(answer.stderr.strip()[-200:])

    wait_for("OVS's database", probe, seconds=30, remedy="ouchi logs ovsdb")


def configure(
    machine: Machine, instance: Instance, settings: Mapping[str, str], external_ids: Mapping[str, str]
) -> None:
    """Write the plan into the database."""
    words: list[str] = ["--", "set", "Open_vSwitch", "."]
    words += [f"other_config:{key}={quote(value)}" for key, value in settings.items()]
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


def cause_of_failure(machine: Machine, instance: Instance, target: Target) -> Finding | None:
    """Return the finding of a cause that ovs-vswitchd's log names; None where it names none."""
    live = read(machine, instance, (MACHINE, SWITCH))
    return without_memory(live, target, "ovs-vswitchd does not start: ") if live.switch.without_shared_data else None


def foreign_devices(at: Context, names: Sequence[str]) -> list[Finding]:
    """A finding for each network device of these names that ouchi has not made."""
    return [
        error(
            f"the network device {name} is already in use by an Open vSwitch that is not ours",
            where=f"/sys/class/net/{name}",
            found="a device that ouchi has not made",
            expected="no other userspace datapath and no bridge of that name in this network namespace",
            remedy="stop the other Open vSwitch, then: ouchi up",
        )
        for name in names
        if at.machine.exists(f"/sys/class/net/{name}") and not device.is_ours(at.journal, name)
    ]


PARTS = (Ovs(),)
