"""The configuration files of the embedded OpenStack."""

from __future__ import annotations

from ouchi.parts.settings import PORTS, REGION, Settings
from ouchi.render.ini import Sections, ini_text, merge


def openstack_files(settings: Settings, *, emulated: bool) -> dict[str, str]:
    """Every file of the services' configuration by its name below the instance's ``etc``.

    ``emulated``: guests run under TCG, because KVM does not work here.
    """
    sections = {
        "keystone/keystone.conf": _keystone(settings),
        "glance/glance-api.conf": _glance(settings),
        "placement/placement.conf": _placement(settings),
        "nova/nova.conf": _nova(settings, emulated=emulated),
        "neutron/neutron.conf": _neutron(settings),
    }
    texts = {name: ini_text(content) for name, content in sections.items()}
    texts["placement/policy.yaml"] = "{}\n"
    for name in ("keystone", "glance", "placement", "nova", "neutron"):
        texts[f"gunicorn/{name}.py"] = _gunicorn(name)
    return texts


def _gunicorn(name: str) -> str:
    """gunicorn's own file. One process with threads: the machine is one user's, and memory is dear."""
    module = {"nova": "nova.wsgi.osapi_compute"}.get(name, f"{name}.wsgi.api")
    return (
        "# Written by ouchi; changes made here are lost.\n"
        f'wsgi_app = "{module}:application"\n'
        f'bind = "127.0.0.1:{PORTS[name]}"\n'
        'worker_class = "gthread"\n'
        "workers = 1\n"
        "threads = 8\n"
        "timeout = 300\n"
        "graceful_timeout = 5\n"
        f'proc_name = "ouchi-{name}"\n'
    )


def _common(settings: Settings, service: str) -> Sections:
    """What every service shares: where it logs, how it locks, who it is to keystone."""
    return {
        "DEFAULT": {"use_stderr": True, "debug": False, "log_date_format": "%Y-%m-%dT%H:%M:%S"},
        "oslo_concurrency": {"lock_path": f"{settings.instance.run}/locks"},
        "keystone_authtoken": {**_credentials(settings, service), "www_authenticate_uri": settings.url("keystone")},
    }


def _credentials(settings: Settings, service: str) -> dict[str, object]:
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


def _database(settings: Settings, service: str, schema: str = "") -> dict[str, object]:
    return {"connection": settings.database(service, schema), "max_pool_size": 5, "max_overflow": 10}


def _keystone(settings: Settings) -> Sections:
    keys = f"{settings.instance.state}/keystone"
    return {
        "DEFAULT": {"use_stderr": True, "log_date_format": "%Y-%m-%dT%H:%M:%S"},
        "database": _database(settings, "keystone"),
        "token": {"provider": "fernet", "expiration": 14400},
        "fernet_tokens": {"key_repository": f"{keys}/fernet-keys"},
        # Receipts are tokens of a kind; the same keys serve.
        "fernet_receipts": {"key_repository": f"{keys}/fernet-keys"},
        "credential": {"key_repository": f"{keys}/credential-keys"},
        "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
    }


def _glance(settings: Settings) -> Sections:
    return merge(
        _common(settings, "glance"),
        {
            "DEFAULT": {"enabled_backends": "images:file", "worker_self_reference_url": settings.url("glance")},
            "database": _database(settings, "glance"),
            "glance_store": {"default_backend": "images"},
            "images": {"filesystem_store_datadir": f"{settings.instance.state}/glance/images"},
            "os_glance_staging_store": {"filesystem_store_datadir": f"{settings.instance.state}/glance/staging"},
            "os_glance_tasks_store": {"filesystem_store_datadir": f"{settings.instance.state}/glance/tasks"},
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": f"{settings.instance.openstack}/etc/glance/glance-api-paste.ini",
            },
        },
    )


def _placement(settings: Settings) -> Sections:
    return merge(
        _common(settings, "placement"),
        {
            "api": {"auth_strategy": "keystone"},
            "placement_database": _database(settings, "placement"),
            "oslo_policy": {"policy_file": f"{settings.instance.etc}/placement/policy.yaml"},
        },
    )


def _nova(settings: Settings, *, emulated: bool) -> Sections:
    instance = settings.instance
    # Each privsep daemon is started through this helper; named in full because services have no PATH of ours.
    helper = f"{instance.openstack}/bin/privsep-helper --config-file {instance.etc}/nova/nova.conf"
    privsep = ("vif_plug_ovs_privileged", "vif_plug_linux_bridge_privileged", "nova_sys_admin", "privsep_osbrick")
    return merge(
        _common(settings, "nova"),
        {
            "DEFAULT": {
                "host": settings.host,
                "my_ip": "127.0.0.1",
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
            "api_database": _database(settings, "nova", "nova_api"),
            "database": _database(settings, "nova"),
            "service_user": {**_credentials(settings, "nova"), "send_service_user_token": True},
            "placement": _credentials(settings, "placement"),
            "neutron": {
                **_credentials(settings, "neutron"),
                "ovs_bridge": "br-int",
                "service_metadata_proxy": False,
            },
            "glance": {**_credentials(settings, "glance"), "endpoint_override": settings.url("glance")},
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
                "virt_type": "qemu" if emulated else "kvm",
                "cpu_mode": "none" if emulated else "host-passthrough",
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


def _neutron(settings: Settings) -> Sections:
    instance = settings.instance
    ovn = f"unix:{instance.ovn_socket}"
    return merge(
        _common(settings, "neutron"),
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
            "database": _database(settings, "neutron"),
            "nova": _credentials(settings, "nova"),
            "placement": _credentials(settings, "placement"),
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
