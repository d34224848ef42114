"""Nova: its API, then its conductor, scheduler and compute, all with one configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ouchi.clients.openstack import Cloud, Row, while_unavailable
from ouchi.core.events import Notify
from ouchi.core.waiting import NotYet, wait_for
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon, File
from ouchi.parts.openstack.api import Api, common, credentials, database, environment
from ouchi.parts.part import PLAN, Endpoint, Listener, PartState
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import Service
from ouchi.render.ini import Sections, ini_text, merge


class Nova(Api):
    name = "nova"
    needs = (PLAN, "mariadb", "openstack", "kvm")
    ports = (Listener("nova", 293, "nova-api"),)
    secrets = ("nova",)
    schemas = ("nova_api", "nova", "nova_cell0")
    endpoint = Endpoint("compute", version="/v2.1", registered="/v2.1")
    service_names = ("nova-api",)
    wsgi = "nova.wsgi.osapi_compute"
    configuration = "nova/nova.conf"

    def sections(self, settings: Settings) -> Sections:
        return sections(settings)

    def variables(self, settings: Settings) -> Mapping[str, str]:
        paste = f"{settings.instance.openstack}/etc/nova/api-paste.ini"
        return {
            "OS_NOVA_CONFIG_DIR": "",
            "OS_NOVA_CONFIG_FILES": f"{paste};{settings.instance.etc}/{self.configuration}",
        }

    def prepare(self, at: Context, notify: Notify) -> str:
        at.machine.make_folder(f"{at.instance.run}/locks", mode=0o700)
        return ""

    def fingerprint(self, at: Context, *more: object) -> Mapping[str, str]:
        # nova keeps the hugepages' totals.
        return super().fingerprint(at, at.target.plan.hugepages, *more)


class NovaWorkers(Daemon):
    """They request a token from keystone at once and exit without a user: they are started after the users are created."""

    name = "nova-compute"
    stage = "cloud"
    needs = ("users", "nova", "placement", "glance", "neutron", "rabbitmq", "libvirtd", "libvirt binding")
    service_names = ("nova-conductor", "nova-scheduler", "nova-compute")

    def files(self, at: Context) -> Mapping[str, File]:
        return {Nova.configuration: File(ini_text(sections(at.settings)))}

    def services(self, at: Context) -> Sequence[Service]:
        settings = at.settings
        argv = ("--config-file", f"{settings.instance.etc}/{Nova.configuration}")
        variables = environment(settings) | dict(self.fingerprint(at, at.target.plan.hugepages))
        return [
            Service(name, (f"{settings.instance.openstack}/bin/{name}", *argv), variables, stop_seconds=4)
            for name in self.service_names
        ]

    def prepare(self, at: Context, notify: Notify) -> str:
        # Disks, consoles and config drives, which hold passwords and keys: for nova, which is root, and for QEMU's group,
        # which owns all that nova makes here.
        at.machine.make_folder(f"{at.instance.state}/nova/instances", mode=0o2750, owner="libvirt-qemu")
        return ""

    def wait(self, at: Context, *, started: bool) -> None:
        uptime = at.supervisor.states()["nova-compute"].uptime
        since = datetime.now(UTC) - timedelta(seconds=uptime + 1)
        wait_for_compute(at.cloud, at.settings.host, since)

    def look(self, at: Context) -> PartState:
        seen = super().look(at)
        if not seen.ok or "nova-api" not in at.running:
            return seen
        state = compute_state(at.cloud.rows("nova", "os-services"), at.settings.host)
        if state == "enabled, up":
            return replace(seen, found=f"{state} as {at.settings.host}; {seen.found}")
        return replace(seen, ok=False, state="not up", found=f"{state}; {seen.found}", remedy="ouchi logs nova-compute")


def sections(settings: Settings) -> Sections:
    instance = settings.instance
    # Each privsep daemon is started through this helper; named in full because services have no PATH of ours.
    helper = f"{instance.openstack}/bin/privsep-helper --config-file {instance.etc}/nova/nova.conf"
    privsep = ("vif_plug_ovs_privileged", "vif_plug_linux_bridge_privileged", "nova_sys_admin", "privsep_osbrick")
    return merge(
        common(settings, "nova"),
        {
            "DEFAULT": {
                "host": settings.host,
                "my_ip": settings.controller,
                "state_path": f"{instance.state}/nova",
                "transport_url": settings.transport,
                "compute_driver": "libvirt.LibvirtDriver",
                "force_config_drive": True,
                "osapi_compute_workers": 1,
                "resume_guests_state_on_host_boot": True,
                "vif_plugging_timeout": 120,
                "graceful_shutdown_timeout": 2,
                # The delay keeps many nodes from asking at once; here it is up to a minute until a new node is mapped.
                "periodic_fuzzy_delay": 0,
            },
            "api": {"auth_strategy": "keystone"},
            "wsgi": {"api_paste_config": f"{instance.openstack}/etc/nova/api-paste.ini"},
            "api_database": database(settings, "nova", "nova_api"),
            "database": database(settings, "nova"),
            "service_user": {**credentials(settings, "nova"), "send_service_user_token": True},
            "placement": credentials(settings, "placement"),
            "neutron": {
                **credentials(settings, "neutron"),
                "ovs_bridge": "br-int",
                "service_metadata_proxy": False,
            },
            "glance": {**credentials(settings, "glance"), "endpoint_override": settings.url("glance")},
            "conductor": {"workers": 1},
            "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 3},
            "filter_scheduler": {
                "enabled_filters": (
                    "ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,NUMATopologyFilter,"
                    "ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,PciPassthroughFilter"
                ),
                "build_failure_weight_multiplier": 0,
            },
            "libvirt": {
                "connection_uri": instance.libvirt_uri,
                "virt_type": "qemu" if settings.emulated else "kvm",
                "cpu_mode": "none" if settings.emulated else "host-passthrough",
                "images_type": "qcow2",
                "hw_machine_type": "x86_64=q35",
                "num_pcie_ports": 16,
                "rx_queue_size": 1024,
                "tx_queue_size": 1024,
                "wait_soft_reboot_seconds": 5,
            },
            "vnc": {"enabled": False},
            "spice": {"enabled": False},
            "serial_console": {"enabled": False},
            "os_vif_ovs": {"ovsdb_connection": f"unix:{instance.ovs_socket}", "ovsdb_interface": "native"},
            "workarounds": {"disable_fallback_pcpu_query": True},
        },
        {section: {"helper_command": helper} for section in privsep},
        settings.nova,
    )


def compute_state(services: Sequence[Row], host: str) -> str:
    """nova's own view of nova-compute on a host: status and state."""
    for row in services:
        if (row["binary"], row["host"]) == ("nova-compute", host):
            return f"{row['status']}, {row['state']}"
    return f"unknown to nova, which has {', '.join(sorted({row['host'] for row in services})) or 'no host'}"


def wait_for_compute(cloud: Cloud, host: str, since: datetime) -> None:
    """Wait until nova's scheduler can place a server on this node.

    A record of an earlier life says "up" for a minute: only a report after ``since``, the start of nova-compute,
    counts. By then it has also resumed the guests that ran before.
    """

    def probe() -> None:
        services = cloud.rows("nova", "os-services", binary="nova-compute", host=host)
        if not any(_reported(service) >= since for service in services):
            raise NotYet("nova-compute has not reported")
        if not cloud.rows("nova", "os-hypervisors"):
            raise NotYet("the node is not mapped to its cell")
        # nova saves the node, NUMA topology included, before it tells placement what there is to have.
        inventories = [
            cloud.read("placement", f"resource_providers/{provider['uuid']}/inventories")["inventories"]
            for provider in cloud.rows("placement", "resource_providers")
        ]
        if not any("MEMORY_MB" in inventory for inventory in inventories):
            raise NotYet("placement does not know what the node has")

    wait_for("nova-compute", while_unavailable(probe), seconds=180, every=0.5, remedy="ouchi logs nova-compute")


def _reported(service: Row) -> datetime:
    """Return the time of nova-compute's last report; empty until the second report of a new node."""
    if service["updated_at"]:
        return datetime.fromisoformat(service["updated_at"]).replace(tzinfo=UTC)
    return datetime.max.replace(tzinfo=UTC) if service["state"] == "up" else datetime.min.replace(tzinfo=UTC)


PARTS = (Nova(), NovaWorkers())
