"""The bridge that is measured: ports joined two by two, what it has learnt, counters read before and after.

Each link of a path is a VLAN of the bridge's own with two access ports, on which OVS learns addresses and switches as
it does for any bridge (``NORMAL``); the frames carry no tag for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ouchi.clients import ovs
from ouchi.core.errors import Failed, error
from ouchi.core.instance import Instance
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.plan.mempools import MTU

BRIDGE = "ouchi-bench"


def port_name(end: str) -> str:
    """The name of an OVS port for an end of a path."""
    return f"bench-{end}"


def build(machine: Machine, instance: Instance) -> None:
    """A bridge of its own, without ports and without a flow."""
    words = ["--", "--if-exists", "del-br", BRIDGE, "--", "add-br", BRIDGE, "--", "set", "Bridge", BRIDGE]
    words += ["datapath_type=netdev", "fail_mode=secure", f"external_ids:ouchi={instance.name}"]
    ovs.vsctl(machine, instance, *words, wait=30)


def attach_socket(machine: Machine, instance: Instance, end: str, socket: str, *, mtu: int) -> None:
    """A vhost-user port for an end, as the client of ``socket``, which is waited for: OVS tries once a second only."""

    def probe() -> None:
        if not machine.exists(socket):
            raise NotYet("it is not there")

    wait_for(f"the socket {socket}", probe, seconds=10, every=0.01)
    _add_port(machine, instance, end, "dpdkvhostuserclient", f"options:vhost-server-path={ovs.quote(socket)}", mtu)


def attach_device(machine: Machine, instance: Instance, end: str, device: str, *, mtu: int) -> None:
    """A port for an end that is a card (its PCI address) or a virtual device of DPDK's. Raises Failed with OVS's reason."""
    _add_port(machine, instance, end, "dpdk", f"options:dpdk-devargs={ovs.quote(device)}", mtu)
    said = ovs.vsctl(machine, instance, "get", "Interface", port_name(end), "error").strip()
    if said != "[]":
        raise Failed(
            error(
                f"OVS cannot open {device}",
                found=said.strip('"'),
                expected="a device that this DPDK drives, and that OVS was allowed to probe",
                remedy="name the card under nics in your site file; ouchi logs ovs-vswitchd",
            )
        )


def join(machine: Machine, instance: Instance, links: Iterable[tuple[str, str]]) -> None:
    """What comes in at one end of a link leaves at the other, both ways; at the same one where the link has only one."""
    _ofctl(machine, instance, "del-flows", BRIDGE)
    for vlan, (one, other) in enumerate(links, 1):
        if one == other:
            _ofctl(machine, instance, "add-flow", BRIDGE, f"in_port={port_name(one)},actions=in_port")
            continue
        for end in (one, other):
            ovs.vsctl(machine, instance, "set", "Port", port_name(end), f"tag={vlan}")
            _ofctl(machine, instance, "add-flow", BRIDGE, f"in_port={port_name(end)},actions=NORMAL")


def unlearnt(machine: Machine, instance: Instance, links: Iterable[tuple[str, str]]) -> list[str]:
    """What OVS does not know yet of the links: an address behind each port, a datapath flow from each to the other."""
    numbers = {
        end: ovs.vsctl(machine, instance, "get", "Interface", port_name(end), "ofport").strip()
        for end in {end for link in links for end in link}
    }
    known = parse_addresses(ovs.appctl(machine, instance, "fdb/show", BRIDGE).stdout)
    flows = parse_flows(ovs.appctl(machine, instance, "dpctl/dump-flows", "--names", "netdev@ovs-netdev").stdout)
    found = []
    for vlan, (one, other) in enumerate(links, 1):
        for come, go in dict.fromkeys(((one, other), (other, one))):
            if one != other and (numbers[come], vlan) not in known:
                found.append(f"no address behind {come}")
            if (port_name(come), port_name(go)) not in flows:
                found.append(f"no flow from {come} to {go}")
    return found


def remove(machine: Machine, instance: Instance) -> None:
    """Take the bridge and its ports away; not there is fine."""
    ovs.vsctl(machine, instance, "--", "--if-exists", "del-br", BRIDGE, wait=30)


def counters(machine: Machine, instance: Instance) -> dict[str, Any]:
    """What OVS counted for each port (live, not from its database, which lags by seconds) and for each PMD."""
    ports = parse_ports(_ofctl(machine, instance, "dump-ports", BRIDGE))
    return {"ports": ports, "pmd": parse_pmd(ovs.appctl(machine, instance, "dpif-netdev/pmd-stats-show").stdout)}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What was counted between two readings, and how busy each PMD was (share of its cycles)."""
    ports = {
        name: {key: value - before["ports"].get(name, {}).get(key, 0) for key, value in counted.items()}
        for name, counted in after["ports"].items()
    }
    pmd = {}
    for name, counted in after["pmd"].items():
        was = before["pmd"].get(name, {})
        spent = {key: value - was.get(key, 0) for key, value in counted.items()}
        cycles = spent.get("idle cycles", 0) + spent.get("processing cycles", 0)
        pmd[name] = {
            **spent,
            "busy": round(spent.get("processing cycles", 0) / cycles, 4) if cycles else 0.0,
            "cycles per packet": round(spent.get("processing cycles", 0) / max(1, spent.get("packets received", 0))),
        }
    return {"ports": ports, "pmd": pmd}


def parse_ports(text: str) -> dict[str, dict[str, int]]:
    """``ovs-ofctl dump-ports``: the counters of each port; those that OVS does not keep are left out."""
    found: dict[str, dict[str, int]] = {}
    for match in re.finditer(r'port\s+"?([\w-]+)"?: (rx .*?)\n\s+(tx .*?)(?=\n|$)', text):
        name, *lines = match.groups()
        found[name] = {
            f"{line[:2]}_{key}": int(value) for line in lines for key, value in re.findall(r"(\w+)=([0-9]+)", line)
        }
    return found


def parse_addresses(text: str) -> set[tuple[str, int]]:
    """``fdb/show``: the ports (by their OpenFlow numbers) and VLANs that an address was learnt on."""
    return {(match[1], int(match[2])) for match in re.finditer(r"^ *(\d+) +(\d+) +[0-9a-f:]{17} ", text, re.MULTILINE)}


def parse_flows(text: str) -> set[tuple[str, str]]:
    """``dpctl/dump-flows --names``: from which port to which one flows of the datapath lead, the simple ones."""
    return set(re.findall(r"in_port\(([\w-]+)\).*actions:([\w-]+)$", text, re.MULTILINE))


def parse_pmd(text: str) -> dict[str, dict[str, int]]:
    """``pmd-stats-show``: the counters of each PMD thread by its CPU (``pmd 0``)."""
    found: dict[str, dict[str, int]] = {}
    name = ""
    for line in text.splitlines():
        if match := re.match(r"pmd thread numa_id \d+ core_id (\d+):", line):
            name = f"pmd {match[1]}"
            found[name] = {}
        elif line.startswith("main thread"):
            name = ""
        elif name and (match := re.match(r"\s+([a-z /]+): ([0-9]+)", line)):
            found[name][match[1]] = int(match[2])
    return found


def _add_port(machine: Machine, instance: Instance, end: str, kind: str, option: str, mtu: int) -> None:
    name = port_name(end)
    words = ["--", "add-port", BRIDGE, name, "--", "set", "Interface", name, f"type={kind}", option]
    ovs.vsctl(machine, instance, *words, *([f"mtu_request={mtu}"] if mtu != MTU else []), wait=30)


def _ofctl(machine: Machine, instance: Instance, *words: str) -> str:
    argv = ("ovs-ofctl", "-O", "OpenFlow14", "--timeout=10", *words)
    return machine.run(argv, timeout=15, env={"OVS_RUNDIR": instance.ovs}).stdout
