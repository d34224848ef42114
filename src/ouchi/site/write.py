"""The first site file, which `ouchi up` writes when there is none."""

from __future__ import annotations

import json
import re
from string import Template

from ouchi.machine import Machine
from ouchi.site.models import site_schema
from ouchi.site.source import scalar
from ouchi.site.text import quoted

_FILE = Template("""\
# The target of this host. `ouchi up` sets it up; run again, it makes only the difference.
# `ouchi plan` shows the plan with its reasons and changes nothing. Every key is explained in docs/site.md.

# The host's name: 1 to 32 characters a-z, 0-9 and -.
name: $name

# CPUs. This machine has $cpus and $memory MiB of memory. Left out, ouchi divides the CPUs by itself.
$division
# NICs that OVS-DPDK takes over from Linux. None: the networks stay within this machine, and no NIC
# is touched. A NIC that carries your session, an address or the default route is refused.
#nics:
#  - nic: enp3s0              # a name from `ip link`, or a PCI address such as 0000:03:00.0
#    physnet: physnet1        # the networks below with this physnet go out through this NIC

# VLAN networks. Each has a VLAN ID (1 to 4094) and an IPv4 subnet of its own.
# gateway:  the router of the servers; here the forwarder's ports.
# endpoint: this host's own address on the VLAN, in a network namespace of its own; measurements run
#           between it and the servers.
networks:
  - name: left
    physnet: physnet1
    vlan: 101
    subnet: 10.101.0.0/24
    gateway: 10.101.0.1
  - name: right
    physnet: physnet1
    vlan: 102
    subnet: 10.102.0.0/24
    gateway: 10.102.0.1
    endpoint: 10.102.0.2

# Virtual machines.
# vcpus:    1 to 64.
# memory:   an even number of MiB, or GiB; it comes from hugepages.
# pinned:   true, false or auto: each vCPU on a dedicated CPU of its own; auto: as far as those last.
# forwards: true: the server forwards packets between its ports (two or more).
# ports:    each on a network, with an address or, without one, the next free address.
servers:
  # Answers to measurements: left -> forwarder -> right.
  - name: endpoint
    vcpus: 1
    memory: 256 MiB
    pinned: auto
    ports:
      - network: left
        address: 10.101.0.10

  # Routes between the two VLANs, through two vhost-user ports.
  - name: forwarder
    vcpus: 1
    memory: 256 MiB
    pinned: auto
    forwards: true
    ports:
      - network: left
        address: 10.101.0.1
      - network: right
        address: 10.102.0.1

# To try next: add a server on `left`, and run `ouchi up` again.
""")


def default_site(name: str, cpu_count: int, memory_mib: int, schema: str = "") -> str:
    """A commented site for a host with `cpu_count` CPUs and `memory_mib` MiB: no NIC, no pool, two servers.

    A `name` that a site cannot have, such as ``Desktop.local``, is turned into one that it can. `schema` is the path of
    the file's JSON Schema, which editors read from the first line.
    """
    label = re.sub(r"[^a-z0-9]+", "-", name.lower())[:32].strip("-") or "home"
    return (f"# yaml-language-server: $schema={schema}\n" if schema else "") + _FILE.substitute(
        name=label if isinstance(scalar(label), str) else quoted(label),
        cpus="1 CPU" if cpu_count == 1 else f"{cpu_count} CPUs",
        memory=memory_mib,
        division=_division(cpu_count),
    )


def write_schema(machine: Machine, path: str) -> None:
    """Write the JSON Schema of the site file unless it is there already."""
    text = json.dumps(site_schema(), indent=2) + "\n"
    if not machine.exists(path) or machine.read(path) != text:
        machine.write(path, text)


def _division(cpu_count: int) -> str:
    """The pools as a commented example that this machine could use, or why there is none."""
    if cpu_count < 3:
        return (
            "# That is too few for pools of their own: they overlap, and figures measured here say nothing about\n"
            "# performance. From 3 CPUs up, the pools can be written down here.\n"
        )
    dedicated = "2" if cpu_count == 3 else f"2-{cpu_count - 1}"
    return f"""\
#cpus:
#  host: "0"                  # Linux, ouchi, OpenStack
#  pmd: "1"                   # PMD threads of OVS-DPDK, always busy; in no other pool
#  {f'dedicated: "{dedicated}"':<27}# pinned vCPUs, one each; in no other pool
#  shared: "0"                # vCPUs that are not pinned, emulator threads; may be the host's
"""
