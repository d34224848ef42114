"""neutron, for OVN and for the Open vSwitch agent: take one of the two."""

from __future__ import annotations

from ouchi.plan.target import VHOST, Target
from ouchi.render.files import Rendered, ini_file, script, words
from ouchi.render.ini import Sections, merge
from ouchi.render.ovs import VSCTL, column

DROP_IN = "etc/neutron/neutron.conf.d/90-ouchi.conf"
AGENT = "etc/neutron/neutron-openvswitch-agent.conf.d/90-ouchi.conf"
SRIOV = "etc/neutron/neutron-sriov-nic-agent.conf.d/90-ouchi.conf"


def neutron(target: Target) -> tuple[Rendered, ...]:
    """Folders ``ovn`` and ``ovs-agent``; ``sriov`` beside them when NICs give VFs to guests."""
    server = f"Goes to /{DROP_IN} where neutron's API runs; a key in ml2_conf.ini wins over it."
    files = [
        ini_file(target, f"ovn/{DROP_IN}", ovn_sections(target), server),
        external_ids(target),
        ini_file(target, f"ovs-agent/{DROP_IN}", ml2_sections(target, "openvswitch"), server),
        ini_file(
            target,
            f"ovs-agent/{AGENT}",
            agent_sections(target, VHOST),
            f"Goes to /{AGENT} on this host. Then: restart neutron-openvswitch-agent.",
        ),
    ]
    if target.sriov_nics:
        remark = f"Goes to /{SRIOV} on this host. Then: restart neutron-sriov-nic-agent."
        files.append(ini_file(target, f"sriov/{SRIOV}", sriov_sections(target), remark))
    return tuple(files)


def ml2_sections(target: Target, driver: str) -> Sections:
    """ML2's configuration: mechanism driver, VLANs and MTUs."""
    drivers = f"{driver},sriovnicswitch" if target.sriov_nics else driver
    return {
        # A physnet's MTU counts only up to this one.
        "DEFAULT": {"global_physnet_mtu": max(target.mtus.values(), default=1500)},
        "ml2": {
            "mechanism_drivers": drivers,
            "physical_network_mtus": ",".join(f"{net}:{mtu}" for net, mtu in target.mtus.items()),
        },
        "ml2_type_vlan": {"network_vlan_ranges": ",".join(target.vlan_ranges)},
    }


def ovn_sections(target: Target) -> Sections:
    """ML2 with OVN."""
    return merge(ml2_sections(target, "ovn"), {"ovn": {"vhost_sock_dir": VHOST}})


def agent_sections(target: Target, vhost: str) -> Sections:
    """The Open vSwitch agent of a host with OVS-DPDK; ``vhost`` is the folder of the vhost-user sockets."""
    return {
        "ovs": {
            "datapath_type": "netdev",
            "vhostuser_socket_dir": vhost,
            "bridge_mappings": mappings(target),
        },
        # iptables never sees a vhost-user port.
        "securitygroup": {"firewall_driver": "openvswitch"},
    }


def sriov_sections(target: Target) -> Sections:
    """The SR-IOV agent: which interfaces are on which physnet."""
    pairs = ",".join(f"{nic.physnet}:{nic.name}" for nic in target.sriov_nics)
    return {"sriov_nic": {"physical_device_mappings": pairs}}


def mappings(target: Target) -> str:
    """Each physnet with its bridge, as neutron and OVN write it."""
    return ",".join(f"{physnet}:{bridge}" for physnet, bridge in target.bridges.items())


def external_ids(target: Target) -> Rendered:
    """The external_ids that ovn-controller reads from the Open vSwitch database."""
    keys = {"ovn-bridge-datapath-type": "netdev", "ovn-bridge-mappings": mappings(target)}
    lines = [
        f"{VSCTL} {words('set', 'Open_vSwitch', '.', column('external_ids', key, value))}"
        for key, value in keys.items()
    ]
    return script(
        target,
        "ovn/external-ids.sh",
        lines,
        "Run it as root on the host. ovn-remote, ovn-encap-type and ovn-encap-ip are your deployment's and left alone.",
    )
