"""Neutron with OVN: its API, and the worker that keeps OVN's databases in line with its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ouchi.core.events import Notify
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon, File
from ouchi.parts.openstack.api import Api, common, credentials, database, environment
from ouchi.parts.part import PLAN, Endpoint, Listener
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import Service
from ouchi.render.ini import Sections, ini_text, merge


class Neutron(Api):
    name = "neutron"
    needs = (PLAN, "mariadb", "openstack", "ovn")
    ports = (Listener("neutron", 294, "neutron-api"),)
    secrets = ("neutron",)
    schemas = ("neutron",)
    endpoint = Endpoint("network", version="/v2.0")
    service_names = ("neutron-api",)
    wsgi = "neutron.wsgi.api"
    configuration = "neutron/neutron.conf"

    def sections(self, settings: Settings) -> Sections:
        return sections(settings)

    def variables(self, settings: Settings) -> Mapping[str, str]:
        return {"OS_NEUTRON_CONFIG_DIR": settings.instance.etc, "OS_NEUTRON_CONFIG_FILES": self.configuration}

    def prepare(self, at: Context, notify: Notify) -> str:
        at.machine.make_folder(f"{at.instance.state}/neutron")
        at.machine.make_folder(f"{at.instance.run}/locks", mode=0o700)
        return ""


class Maintenance(Daemon):
    """It requests a token from keystone at once and exits without a user: it is started after the users are created."""

    name = "neutron-ovn-maintenance"
    stage = "cloud"
    needs = ("users", "neutron", "nova", "rabbitmq")
    on = "controller"
    service_names = ("neutron-ovn-maintenance",)

    def files(self, at: Context) -> Mapping[str, File]:
        return {Neutron.configuration: File(ini_text(sections(at.settings)))}

    def services(self, at: Context) -> Sequence[Service]:
        settings = at.settings
        program = f"{settings.instance.openstack}/bin/neutron-ovn-maintenance-worker"
        argv = (program, "--config-file", f"{settings.instance.etc}/{Neutron.configuration}")
        variables = environment(settings) | dict(self.fingerprint(at))
        return [Service(self.name, argv, variables, stop_seconds=4)]


def sections(settings: Settings) -> Sections:
    instance = settings.instance
    ovn = f"unix:{instance.ovn_socket}"
    return merge(
        common(settings, "neutron"),
        {
            "DEFAULT": {
                "core_plugin": "ml2",
                "service_plugins": "ovn-router",
                "auth_strategy": "keystone",
                "transport_url": settings.transport,
                "state_path": f"{instance.state}/neutron",
                "api_paste_config": f"{instance.openstack}/etc/neutron/api-paste.ini",
                "api_workers": 1,
                "rpc_workers": 0,
                "notify_nova_on_port_status_changes": True,
                "notify_nova_on_port_data_changes": True,
                "send_events_interval": 1,
                "dns_domain": "ouchi.",
                "global_physnet_mtu": settings.mtu,
            },
            "database": database(settings, "neutron"),
            "nova": credentials(settings, "nova"),
            "placement": credentials(settings, "placement"),
            "ml2": {
                "type_drivers": "flat,vlan,geneve",
                "tenant_network_types": "geneve",
                "mechanism_drivers": "ovn",
                "extension_drivers": "port_security",
                "overlay_ip_version": 4,
            },
            "ml2_type_flat": {"flat_networks": ",".join(settings.physnets)},
            "ml2_type_vlan": {"network_vlan_ranges": ",".join(settings.physnets)},
            "ml2_type_geneve": {"vni_ranges": "1:65535", "max_header_size": 38},
            "securitygroup": {"enable_security_group": True},
            "ovn": {
                "ovn_nb_connection": ovn,
                "ovn_sb_connection": ovn,
                "ovn_metadata_enabled": False,
                "vhost_sock_dir": instance.vhost,
                "enable_distributed_floating_ip": True,
            },
        },
    )


PARTS = (Neutron(), Maintenance())
