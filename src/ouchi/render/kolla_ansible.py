"""kolla-ansible: an inventory, variables and configuration for a site that outgrows one machine.

Its role ``ovs-dpdk`` works with the Open vSwitch agent only, binds NICs to ``uio_pci_generic`` and hands on neither
the mask of the PMD threads nor the number of queues; a script sets these after each deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ouchi.plan.target import Target
from ouchi.plan.values import mask
from ouchi.render.files import Rendered, comment, ini_file, made_by, script
from ouchi.render.neutron import agent_sections, mappings, ml2_sections
from ouchi.render.nova import compute_sections, scheduler_sections
from ouchi.render.ovs import port_lines, setting_lines
from ouchi.render.together import together
from ouchi.render.yaml import yaml_file

GROUPS = ("control", "network", "compute", "monitoring", "storage")
"""The groups of kolla-ansible's own ``multinode`` inventory that name hosts; all others are made of these."""
CONTAINER_VHOST = "/run/openvswitch"
"""The folder that kolla's containers share."""


CONFIG = "etc/kolla/config"


def kolla_ansible(*targets: Target) -> tuple[Rendered, ...]:
    """Files of the deployment host, below ``inventory`` and ``/etc/kolla``, for one host or several."""
    alone = len(targets) == 1
    return (
        _inventory(together(targets), targets),
        *_shared(together(targets)),
        *(file for target in targets for file in _of_host(target, alone=alone)),
    )


def _shared(target: Target) -> tuple[Rendered, ...]:
    """The files that all hosts share; ``target`` has the networks and NICs of all of them."""
    return (
        yaml_file(
            target,
            "etc/kolla/globals.d/90-ouchi.yml",
            global_variables(target),
            "Goes to /etc/kolla/globals.d, which kolla-ansible reads with globals.yml. Yours to set there:",
            "kolla_internal_vip_address; dpdk_tunnel_interface, whose address moves to the first bridge.",
        ),
        ini_file(target, f"{CONFIG}/nova/nova-scheduler.conf", scheduler_sections(target), "Merged where it runs."),
        ini_file(target, f"{CONFIG}/neutron/ml2_conf.ini", _ml2(target), "Merged into ml2_conf.ini."),
    )


def _of_host(target: Target, *, alone: bool) -> tuple[Rendered, ...]:
    name = target.site.name
    return (
        yaml_file(target, f"inventory/host_vars/{name}.yml", host_variables(target), "Goes beside the inventory."),
        ini_file(
            target, f"{CONFIG}/nova/{name}/nova.conf", compute_sections(target), "Merged into this host's nova.conf."
        ),
        ini_file(
            target,
            f"{CONFIG}/neutron/{name}/openvswitch_agent.ini",
            agent_sections(target, CONTAINER_VHOST),
            "Merged into this host's openvswitch_agent.ini.",
        ),
        _after_deploy(target, "after-deploy.sh" if alone else f"after-deploy/{name}.sh"),
    )


def global_variables(target: Target) -> dict[str, Any]:
    """Variables of all hosts of the deployment."""
    return {
        "neutron_plugin_agent": "openvswitch",
        "enable_openvswitch": True,
        "enable_ovs_dpdk": True,
        "enable_neutron_provider_networks": True,
        "enable_neutron_sriov": bool(target.sriov_nics),
        "neutron_physical_networks": ",".join(target.bridges),
        "neutron_bridge_name": ",".join(target.bridges.values()),
    }


def host_variables(target: Target) -> dict[str, Any]:
    """Variables of this host."""
    interface, address = target.management
    named = [nic for nic in target.dpdk_nics if nic.name]
    return {
        **({"ansible_host": address, "network_interface": interface} if interface else {}),
        **({"neutron_external_interface": ",".join(nic.name for nic in named)} if named else {}),
        "ovs_bridge_mappings": mappings(target),
        "ovs_port_mappings": ",".join(f"{nic.name}:{target.bridges[nic.physnet]}" for nic in named),
        "ovs_socket_mem": target.plan.ovs_other_config.get("dpdk-socket-mem", "0"),
        **(
            {"neutron_sriov_physnet_mappings": {nic.physnet: nic.name for nic in target.sriov_nics}}
            if target.sriov_nics
            else {}
        ),
    }


def _inventory(whole: Target, targets: Sequence[Target]) -> Rendered:
    """All hosts compute; the first also has every other role."""
    names = [target.site.name for target in targets]
    remarks = ["These groups in place of the same ones in kolla-ansible's inventory/multinode."]
    if len(names) > 1:
        remarks.append(f"The control plane, the network nodes and storage are {names[0]}'s: yours to change.")
    members = {group: names if group == "compute" else names[:1] for group in GROUPS}
    groups = "".join(f"\n[{group}]\n" + "".join(f"{name}\n" for name in hosts) for group, hosts in members.items())
    deployment = "\n[deployment]\nlocalhost ansible_connection=local\n"
    return Rendered("inventory/ouchi.ini", comment(made_by(whole, *remarks)) + groups + deployment)


def _ml2(target: Target) -> dict[str, dict[str, object]]:
    """ML2's part; the mechanism drivers are kolla-ansible's matter."""
    sections = {section: dict(keys) for section, keys in ml2_sections(target, "openvswitch").items()}
    del sections["ml2"]["mechanism_drivers"]
    # Known to neutron.conf, which neutron's API reads together with this file.
    return sections


def _main_lcore(target: Target) -> str:
    """DPDK's main lcore is the first of the main thread's CPUs; one whose node has no memory makes no port."""
    if target.switch_cpus == target.plan.pools.host:
        return "remove Open_vSwitch . other_config dpdk-lcore-mask"
    return f"set Open_vSwitch . other_config:dpdk-lcore-mask={mask(target.switch_cpus)}"


def _after_deploy(target: Target, path: str) -> Rendered:
    inside = "docker exec ovsdpdk_db ovs-vsctl --no-wait"
    lines = [*setting_lines(target, inside), f"{inside} {_main_lcore(target)}", ""]
    lines += port_lines(target, inside, kernel_names=True)
    lines += ["", "docker restart ovsdpdk_vswitchd"]
    return script(
        target,
        path,
        lines,
        "Run it as root on the host after every deploy and reconfigure: kolla-ansible's role does not set these.",
        "Which Open vSwitch kolla's images have is not known here; other_config is for the one on the host.",
    )
