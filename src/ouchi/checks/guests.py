"""Guests as they really run: state, threads on CPUs, memory on hugepages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from ouchi.checks.check import Check
from ouchi.clients import libvirt
from ouchi.clients.openstack import Cloud
from ouchi.core.cpulist import format_cpus, parse_cpus
from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.plan import Plan
from ouchi.plan.flavors import flavor_name
from ouchi.site import Site


@dataclass(frozen=True, slots=True)
class Domain:
    """A running guest: its server's name, QEMU's process, the threads of its vCPUs, its interfaces' types."""

    name: str
    domain: str
    pid: int
    vcpu_threads: tuple[int, ...]
    interfaces: tuple[str, ...]


def read_domains(machine: Machine, instance: Instance) -> list[Domain]:
    """Every running guest of our libvirtd."""
    domains = []
    for name in libvirt.virsh(machine, instance, "list", "--name").split():
        text = libvirt.virsh(machine, instance, "dumpxml", name)
        title, interfaces = parse_domain(text)
        cpus = libvirt.qmp(machine, instance, name, "query-cpus-fast")
        threads = tuple(int(cpu["thread-id"]) for cpu in cpus) if isinstance(cpus, list) else ()
        pid = int(machine.read(f"{instance.state}/libvirt/run/qemu/{name}.pid"))
        domains.append(Domain(title or name, name, pid, threads, interfaces))
    return sorted(domains, key=lambda domain: domain.name)


def parse_domain(text: str) -> tuple[str, tuple[str, ...]]:
    """The server's name and the interfaces' types from a libvirt domain that nova made."""
    root = ET.fromstring(text)  # noqa: S314  libvirt's own, not a stranger's
    name = root.find("./metadata/{http://openstack.org/xmlns/libvirt/nova/1.1}instance/{*}name")
    types = tuple(node.get("type", "") for node in root.findall("./devices/interface"))
    return (name.text or "" if name is not None else ""), types


def check_servers(site: Site, plan: Plan, cloud: Cloud) -> list[Check]:
    """Every server of the site is ACTIVE, once, and of the shape that the plan has for it."""
    states: dict[str, list[str]] = {}
    shapes: dict[str, str] = {}
    for server in cloud.rows("nova", "servers/detail"):
        states.setdefault(server["name"], []).append(server["status"])
        shapes[server["name"]] = server["flavor"]["original_name"]
    return [
        Check(
            f"server {guest.name} has the planned shape",
            shapes.get(guest.name, flavor_name(guest)) == flavor_name(guest),
            shapes.get(guest.name, "no such server"),
            flavor_name(guest),
            f"ouchi openstack server delete --wait {guest.name}, then: ouchi up",
        )
        for guest in plan.guests
    ] + [
        Check(
            f"server {server.name} is ACTIVE",
            states.get(server.name) == ["ACTIVE"],
            ", ".join(states.get(server.name, ["no such server"])),
            "one server, ACTIVE",
            "ouchi up",
        )
        for server in site.servers
    ]


def check_guests(machine: Machine, plan: Plan, domains: Iterable[Domain]) -> list[Check]:
    """vhost-user interfaces, affinities of vCPU and other threads, and hugepages for each server of the site."""
    by_name = {domain.name: domain for domain in domains}
    checks = []
    for guest in plan.guests:
        domain = by_name.get(guest.name)
        if domain is None:
            checks.append(Check(f"{guest.name} runs", False, "no QEMU process", "a guest in libvirt", "ouchi up"))
            continue
        own = set(plan.pools.dedicated) if guest.pinned else set(plan.pools.shared)
        affinities = _affinities(machine, domain.pid)
        vcpus = [affinities.get(thread, ()) for thread in domain.vcpu_threads]
        others = {cpu for thread, cpus in affinities.items() if thread not in domain.vcpu_threads for cpu in cpus}
        pinned = all(len(cpus) == 1 for cpus in vcpus) and len({cpus[0] for cpus in vcpus if cpus}) == len(vcpus)
        placed = bool(vcpus) and all(set(cpus) <= own for cpus in vcpus) and (pinned or not guest.pinned)
        checks += [
            Check(
                f"{guest.name}: its interfaces are vhost-user",
                set(domain.interfaces) == {"vhostuser"},
                ", ".join(domain.interfaces) or "no interface",
                "vhostuser",
            ),
            Check(
                f"{guest.name}: vCPU threads run {'one on each dedicated CPU' if guest.pinned else 'on the shared pool'}",
                placed,
                "; ".join(format_cpus(cpus) for cpus in vcpus),
                f"{'one CPU each, of' if guest.pinned else 'within'} {format_cpus(sorted(own))}",
            ),
            Check(
                f"{guest.name}: emulator threads run on the shared pool",
                bool(others) and others <= set(plan.pools.shared),
                format_cpus(sorted(others)),
                f"within {format_cpus(plan.pools.shared)}",
            ),
            _check_memory(machine, domain, guest.memory_mib),
        ]
    return checks


def _affinities(machine: Machine, pid: int) -> dict[int, tuple[int, ...]]:
    """Each thread of a process and the CPUs it may run on. A thread that ends meanwhile is left out."""
    found = {}
    for thread in machine.entries(f"/proc/{pid}/task"):
        try:
            status = machine.read(f"/proc/{pid}/task/{thread}/status")
        except OSError:
            continue
        # QEMU's thread contexts only give their affinity to the threads that touch the memory at the start.
        if re.search(r"^Name:\s*TC ", status, re.MULTILINE):
            continue
        if listed := re.search(r"^Cpus_allowed_list:\s*(\S+)$", status, re.MULTILINE):
            found[int(thread)] = parse_cpus(listed[1])
    return found


def _check_memory(machine: Machine, domain: Domain, memory_mib: int) -> Check:
    huge = hugepage_mib(machine.read(f"/proc/{domain.pid}/smaps"))
    return Check(
        f"{domain.name}: its memory is on hugepages",
        huge >= memory_mib,
        f"{huge} MiB on hugepages",
        f"at least {memory_mib} MiB",
    )


def hugepage_mib(smaps: str) -> int:
    """MiB that a process has in hugepages (``Shared_Hugetlb`` and ``Private_Hugetlb`` of smaps, proc(5))."""
    return sum(int(kib) for kib in re.findall(r"^(?:Shared|Private)_Hugetlb:\s+(\d+) kB$", smaps, re.MULTILINE)) // 1024
