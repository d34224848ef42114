"""libvirt's domains for the servers of the site, for those without OpenStack, and their ports in Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import quoteattr

from ouchi.core.cpulist import format_cpus
from ouchi.facts import Facts
from ouchi.plan import GuestPlan
from ouchi.plan.target import VHOST, Target
from ouchi.render.files import Rendered, made_by, script, words
from ouchi.render.ovs import VSCTL, column

QUEUES = 1
"""Of each vhost-user port, receive and transmit, as the plan reckons their buffers."""
DESCRIPTORS = 1024
MACHINES = {"x86_64": "q35", "aarch64": "virt"}


def libvirt(target: Target) -> tuple[Rendered, ...]:
    """One domain for each server, and a script that makes their ports."""
    plans = {guest.name: guest for guest in target.plan.guests}
    domains = [_file(target, index, plans[server.name]) for index, server in enumerate(target.site.servers)]
    return (*domains, _ports(target))


def _file(target: Target, index: int, guest: GuestPlan) -> Rendered:
    """A domain as ``virsh define`` reads it; the site file and the plan have no names that XML would need quoted."""
    disk = f"/var/lib/libvirt/images/{guest.name}.qcow2"
    remarks = " ".join(made_by(target, f"Before virsh define: ports.sh, and a disk at {disk}."))
    architecture = target.facts.system.architecture or "x86_64"
    shared = format_cpus(target.plan.pools.shared)
    threads = _threads(target.facts, guest.cpus) if guest.pinned else 1
    # In a comment of XML no two hyphens may follow each other. No balloon: PMD threads access the guest's memory.
    text = f"""\
<domain type="kvm">
  <!-- {remarks.replace("--", "- -")} -->
  <name>{guest.name}</name>
  <memory unit="MiB">{guest.memory_mib}</memory>
  <memoryBacking>
    <hugepages>
      <page size="{_page_kib(target, guest)}" unit="KiB" />
    </hugepages>
  </memoryBacking>
  <vcpu placement="static">{guest.vcpus}</vcpu>
  <cputune>
{_pins(guest, shared)}
    <emulatorpin cpuset="{shared}" />
  </cputune>
  <numatune>
    <memory mode="strict" nodeset="{guest.node}" />
  </numatune>
  <os>
    <type arch={quoteattr(architecture)} machine="{MACHINES.get(architecture, "q35")}">hvm</type>
  </os>
  <cpu mode="host-passthrough">
    <topology sockets="1" dies="1" cores="{guest.vcpus // threads}" threads="{threads}" />
    <numa>
      <cell id="0" cpus="0-{guest.vcpus - 1}" memory="{guest.memory_mib}" unit="MiB" memAccess="shared" />
    </numa>
  </cpu>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2" />
      <source file="{disk}" />
      <target dev="vda" bus="virtio" />
    </disk>
{_interfaces(target, index)}    <console type="pty" />
    <memballoon model="none" />
  </devices>
</domain>
"""
    return Rendered(f"{guest.name}.xml", text)


def _pins(guest: GuestPlan, shared: str) -> str:
    """Each pinned vCPU on a CPU of its own."""
    cpus = guest.cpus if guest.pinned else [shared] * guest.vcpus
    return "\n".join(f'    <vcpupin vcpu="{vcpu}" cpuset="{cpu}" />' for vcpu, cpu in enumerate(cpus))


def _interfaces(target: Target, index: int) -> str:
    mtus = {network.name: network.mtu for network in target.site.networks}
    return "".join(
        f"""\
    <interface type="vhostuser">
      <source type="unix" path="{VHOST}/{port_name(index, number)}" mode="server" />
      <target dev="{port_name(index, number)}" />
      <model type="virtio" />
      <driver queues="{QUEUES}" rx_queue_size="{DESCRIPTORS}" tx_queue_size="{DESCRIPTORS}" />
      <mtu size="{mtus[port.network]}" />
    </interface>
"""
        for number, port in enumerate(target.site.servers[index].ports)
    )


def _ports(target: Target) -> Rendered:
    """Commands for the guests' ports, each a member of its network's VLAN on the physnet's bridge."""
    return script(
        target, "ports.sh", _port_lines(target), "Run it as root on the host, after ovs.sh of the target ovs."
    )


def _port_lines(target: Target) -> Iterator[str]:
    networks = {network.name: network for network in target.site.networks}
    for index, server in enumerate(target.site.servers):
        yield f"# {server.name}"
        for number, port in enumerate(server.ports):
            name, network = port_name(index, number), networks[port.network]
            add = ("--may-exist", "add-port", target.bridges[network.physnet], name, f"tag={network.vlan}")
            settings = (
                "type=dpdkvhostuserclient",
                column("options", "vhost-server-path", f"{VHOST}/{name}"),
                f"mtu_request={network.mtu}",
            )
            yield f"{VSCTL} {words(*add, '--', 'set', 'Interface', name, *settings)}"


def port_name(server: int, port: int) -> str:
    """A port in Open vSwitch and its socket, by the places of server and port in the file: a device's name is short."""
    return f"vhost{server}-{port}"


def _page_kib(target: Target, guest: GuestPlan) -> int:
    """The largest of the plan's pages on the guest's node of which its memory is a multiple."""
    sizes = [need.size_kib for need in target.plan.hugepages if need.node == guest.node]
    return max((size for size in sizes if not guest.memory_mib * 1024 % size), default=2048)


def _threads(facts: Facts, cpus: Sequence[int]) -> int:
    """2 when the CPUs are, two by two, the threads of one core; else 1."""
    siblings = {cpu.id: cpu.siblings for cpu in facts.cpus}
    pairs = zip(cpus[::2], cpus[1::2], strict=False)
    return 2 if len(cpus) % 2 == 0 and all(one in siblings[other] for one, other in pairs) else 1
