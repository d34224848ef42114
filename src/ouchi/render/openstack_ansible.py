"""openstack-ansible: a compute host with OVS-DPDK, as drop-ins of ``/etc/openstack_deploy``."""

from __future__ import annotations

from typing import Any

from ouchi.plan.target import VHOST, Target
from ouchi.plan.values import mask
from ouchi.render.files import Rendered
from ouchi.render.ini import Sections
from ouchi.render.neutron import agent_sections, mappings, ml2_sections
from ouchi.render.nova import compute_sections
from ouchi.render.together import together
from ouchi.render.yaml import yaml_file

FOLDER = "etc/openstack_deploy"


def openstack_ansible(*targets: Target) -> tuple[Rendered, ...]:
    """Files of the deployment host, for one host or several; none of them takes the place of a file of its own."""
    whole = together(targets)
    return (
        yaml_file(
            whole,
            f"{FOLDER}/conf.d/ouchi.yml",
            user_config(*targets),
            "Goes to /etc/openstack_deploy/conf.d, which is read with openstack_user_config.yml.",
        ),
        yaml_file(whole, f"{FOLDER}/user_variables_ouchi.yml", user_variables(whole), "Goes to /etc/openstack_deploy."),
        *(
            yaml_file(
                target,
                f"{FOLDER}/host_vars/{target.site.name}.yml",
                host_variables(target),
                "Goes to /etc/openstack_deploy/host_vars. openstack-ansible's role sets these masks and the memory and adds",
                "the ports; queues and all other keys of Open vSwitch are the script ovs.sh of the target ovs, run afterwards.",
            )
            for target in targets
        ),
    )


def user_config(*targets: Target) -> dict[str, Any]:
    """The hosts in the groups that make them compute nodes; an address that is not known is left to you."""
    hosts = {target.site.name: {"ip": target.management[1] or "SET THIS"} for target in targets}
    return {"compute_hosts": hosts, "network_hosts": hosts}


def user_variables(target: Target) -> dict[str, Any]:
    """Variables of all hosts of the deployment."""
    return {
        "neutron_plugin_type": "ml2.ovs",
        "neutron_ml2_drivers_type": "flat,vlan,vxlan,local",
        "nova_scheduler_extra_filters": [
            "NUMATopologyFilter",
            *(["PciPassthroughFilter"] if target.sriov_nics else []),
        ],
        "neutron_ml2_conf_ini_overrides": {"ml2_type_vlan": dict(ml2_sections(target, "openvswitch")["ml2_type_vlan"])},
        "neutron_neutron_conf_overrides": {"DEFAULT": dict(ml2_sections(target, "openvswitch")["DEFAULT"])},
    }


def host_variables(target: Target) -> dict[str, Any]:
    """Variables of this host. Its role reserves hugepages at boot, counted over all nodes."""
    pages = {
        size: sum(need.count for need in target.plan.hugepages if need.size_kib == size) for size in (2048, 1048576)
    }
    virtual = ",".join(f"{nic.physnet}:{nic.name}" for nic in target.sriov_nics)
    ports = ",".join(f"{target.bridges[nic.physnet]}:{nic.address}" for nic in target.dpdk_nics)
    return {
        "ovs_dpdk_support": True,
        "ovs_datapath": "netdev",
        "ovs_dpdk_driver": next((nic.dpdk.kmod for nic in target.dpdk_nics if nic.dpdk.kmod), "vfio-pci"),
        "ovs_dpdk_pci_addresses": [nic.address for nic in target.dpdk_nics if not nic.dpdk.bifurcated],
        "ovs_dpdk_lcore_mask": mask(target.switch_cpus),
        "ovs_dpdk_pmd_cpu_mask": mask(target.plan.pools.pmd),
        "ovs_dpdk_socket_mem": target.plan.ovs_other_config.get("dpdk-socket-mem", "0"),
        "ovs_dpdk_nr_2m_pages": pages[2048],
        "ovs_dpdk_nr_1g_pages": pages[1048576],
        "neutron_provider_networks": {
            "network_types": "vlan",
            "network_vlan_ranges": ",".join(target.vlan_ranges),
            "network_mappings": mappings(target),
            **({"network_interface_mappings": ports} if ports else {}),
            **({"network_sriov_mappings": virtual} if virtual else {}),
        },
        "neutron_openvswitch_agent_ini_overrides": overrides(agent_sections(target, VHOST)),
        "nova_nova_conf_overrides": overrides(compute_sections(target)),
    }


def overrides(sections: Sections) -> dict[str, dict[str, Any]]:
    """Sections as openstack-ansible merges them: an option that is written several times is a mapping to nothing."""
    return {section: {key: _value(value) for key, value in keys.items()} for section, keys in sections.items()}


def _value(value: object) -> object:
    return dict.fromkeys(value) if isinstance(value, tuple | list) else value
