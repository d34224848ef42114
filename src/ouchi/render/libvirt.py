"""libvirt's domains for the servers of the site, for those without OpenStack, and their ports in Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET  # only writes XML

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
    """A domain as ``virsh define`` reads it."""
    domain = _domain(target, index, guest)
    remarks = made_by(
        target,
        f"Before virsh define: ports.sh, and a disk at {_disk(guest)}.",
    )
    # In a comment of XML no two hyphens may follow each other.
    domain.insert(0, ET.Comment(" " + " ".join(remarks).replace("--", "- -") + " "))
    ET.indent(domain)
    return Rendered(f"{guest.name}.xml", ET.tostring(domain, encoding="unicode") + "\n")


def _domain(target: Target, index: int, guest: GuestPlan) -> ET.Element:
    domain = ET.Element("domain", type="kvm")
    _put(domain, "name", text=guest.name)
    _put(domain, "memory", text=str(guest.memory_mib), unit="MiB")
    backing = _put(domain, "memoryBacking")
    page = {"size": str(_page_kib(target, guest)), "unit": "KiB"}
    _put(_put(backing, "hugepages"), "page", **page)
    _put(domain, "vcpu", text=str(guest.vcpus), placement="static")
    _tune(domain, target, guest)
    system = _put(domain, "os")
    architecture = target.facts.system.architecture or "x86_64"
    _put(system, "type", text="hvm", arch=architecture, machine=MACHINES.get(architecture, "q35"))
    _processor(domain, target, guest)
    devices = _put(domain, "devices")
    disk = _put(devices, "disk", type="file", device="disk")
    _put(disk, "driver", name="qemu", type="qcow2")
    _put(disk, "source", file=_disk(guest))
    _put(disk, "target", dev="vda", bus="virtio")
    networks = {network.name: network for network in target.site.networks}
    for number, port in enumerate(target.site.servers[index].ports):
        _interface(devices, port_name(index, number), networks[port.network].mtu)
    _put(devices, "console", type="pty")
    # PMD threads access the guest's memory: no balloon may take it away.
    _put(devices, "memballoon", model="none")
    return domain


def _tune(domain: ET.Element, target: Target, guest: GuestPlan) -> None:
    """Each pinned vCPU on a CPU of its own; QEMU's other threads on the shared pool."""
    shared = format_cpus(target.plan.pools.shared)
    tune = _put(domain, "cputune")
    for vcpu in range(guest.vcpus):
        _put(tune, "vcpupin", vcpu=str(vcpu), cpuset=str(guest.cpus[vcpu]) if guest.pinned else shared)
    _put(tune, "emulatorpin", cpuset=shared)
    _put(_put(domain, "numatune"), "memory", mode="strict", nodeset=str(guest.node))


def _processor(domain: ET.Element, target: Target, guest: GuestPlan) -> None:
    """The host's own processor; memory that the guest shares with Open vSwitch; threads where it has whole cores."""
    cpu = _put(domain, "cpu", mode="host-passthrough")
    threads = _threads(target.facts, guest.cpus) if guest.pinned else 1
    cores = str(guest.vcpus // threads)
    _put(cpu, "topology", sockets="1", dies="1", cores=cores, threads=str(threads))
    cell = {"id": "0", "cpus": f"0-{guest.vcpus - 1}", "memory": str(guest.memory_mib), "unit": "MiB"}
    _put(_put(cpu, "numa"), "cell", **cell, memAccess="shared")


def _interface(devices: ET.Element, port: str, mtu: int) -> None:
    interface = _put(devices, "interface", type="vhostuser")
    _put(interface, "source", type="unix", path=f"{VHOST}/{port}", mode="server")
    _put(interface, "target", dev=port)
    _put(interface, "model", type="virtio")
    sizes = {"rx_queue_size": str(DESCRIPTORS), "tx_queue_size": str(DESCRIPTORS)}
    _put(interface, "driver", queues=str(QUEUES), **sizes)
    _put(interface, "mtu", size=str(mtu))


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


def _disk(guest: GuestPlan) -> str:
    return f"/var/lib/libvirt/images/{guest.name}.qcow2"


def _page_kib(target: Target, guest: GuestPlan) -> int:
    """The largest of the plan's pages on the guest's node of which its memory is a multiple."""
    sizes = [need.size_kib for need in target.plan.hugepages if need.node == guest.node]
    return max((size for size in sizes if not guest.memory_mib * 1024 % size), default=2048)


def _threads(facts: Facts, cpus: Sequence[int]) -> int:
    """2 when the CPUs are, two by two, the threads of one core; else 1."""
    siblings = {cpu.id: cpu.siblings for cpu in facts.cpus}
    pairs = zip(cpus[::2], cpus[1::2], strict=False)
    return 2 if len(cpus) % 2 == 0 and all(one in siblings[other] for one, other in pairs) else 1


def _put(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element
