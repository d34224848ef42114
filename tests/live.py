"""Readings of live hosts: the scripts' output on a healthy host with a plan, with changes.

A case is a folder with a ``case.yaml``:

- ``why``: a description;
- ``host``: members of the host's description (``host.yaml`` of the base) that differ from the healthy host; ``pci``
  holds members of PCI functions by address;
- ``site``: another site, as text;
- ``changes``: in the output of a reading, a section's ``old`` text and its ``new`` one; or its whole ``text``; or a
  ``file`` of the case's folder, which has the section as a real program printed it;
- ``finds``: every finding, by the id of its check, with its members; ``unknown``: the ids of unknown checks;
- ``recorded``: the output of a real machine is in the folder; the value is the case of ``tests/cases/hosts`` that was
  recorded on a machine like it;
- ``based``: another case, with the output of a real machine and its snapshot ``host.tar.gz`` in its folder; ``changes`` are
  made in that output.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ouchi.core.cpulist import format_cpus
from ouchi.core.instance import Instance
from ouchi.facts import Facts, collect
from ouchi.live.host import READINGS, Live, Texts, parse_live
from ouchi.live.sections import sections
from ouchi.machine.snapshot import open_snapshot
from ouchi.plan import Plan, make_plan
from ouchi.plan.mempools import port_mbufs, queue_mbufs, shared_mbufs
from ouchi.plan.target import Target
from ouchi.plan.values import mask
from ouchi.site import load_site
from tests.hosts import build
from tests.hosts.description import load_plain
from tests.plans import target_of

CASES = Path(__file__).parent / "cases" / "doctor"
INSTANCE = Instance()

PID, GUEST_PID = 900, 1000
VHOST_STATUS = {
    "status": "connected", "mode": "client", "numa": "0", "num_of_vrings": "4",
    **{f"vring_{number}_size": "1024" for number in range(4)},
}  # fmt: skip
FIRST_IRQ = 24

Sections = dict[str, dict[str, str]]
"""The sections of each reading."""


@dataclass(frozen=True)
class Case:
    """A case ready to be evaluated, with the expected findings."""

    name: str
    target: Target
    live: Live
    finds: tuple[dict[str, Any], ...]
    unknown: tuple[str, ...]


def names() -> list[str]:
    """Every case, by name."""
    return sorted(folder.name for folder in CASES.iterdir() if (folder / "case.yaml").is_file())


@cache
def case(name: str) -> Case:
    """A case by its name."""
    folder = CASES / name
    content = _yaml(folder / "case.yaml")
    if content.get("recorded"):
        target = target_of(content["recorded"])
        found = {path.name: path.read_text() for path in folder.iterdir() if path.name != "case.yaml"}
        # The script did not print hugepages when it was recorded.
        pages = _hugepages((need.node, need.size_kib, need.count, 0) for need in target.plan.hugepages)
        found["machine"] += f"\n@@ hugepages\n{pages}\n"
        live = parse_live(Texts(found), INSTANCE)
    elif based := content.get("based"):
        target = _recorded_target(CASES / based)
        made = {reading: sections((CASES / based / reading).read_text()) for reading in READINGS}
        for change in content.get("changes", ()):
            _change(made, change, folder)
        live = parse_live(Texts(printed(made)), INSTANCE)
    else:
        target = planned_for(content.get("host", {}), content.get("site", ""))
        made = healthy(target)
        for change in content.get("changes", ()):
            _change(made, change, folder)
        live = parse_live(Texts(printed(made), content.get("missing", {})), INSTANCE)
    return Case(name, target, live, tuple(content.get("finds", ())), tuple(content.get("unknown", ())))


@cache
def _recorded_target(folder: Path) -> Target:
    """The target of a host whose snapshot is in a case's folder."""
    site = load_site((folder / "site.yaml").read_bytes(), "site.yaml")
    facts = collect(open_snapshot(folder / "host.tar.gz"))
    return Target(site, facts, make_plan(site, facts), "site.yaml")


def printed(texts: Sections) -> dict[str, str]:
    """The readings as the scripts print them."""
    return {
        reading: "".join(f"@@ {name}\n{text}\n" for name, text in sections.items())
        for reading, sections in texts.items()
    }


def planned_for(changes: dict[str, Any], site_text: str = "") -> Target:
    """The base host as planned but for ``changes``, with the plan made again on it."""
    text = site_text or (CASES / "site.yaml").read_text()
    site = load_site(text.encode(), "site.yaml")
    plain = _base(changes)
    if "parameters" in changes or changes.get("as_is"):
        facts = collect(build(load_plain(plain)))
        return Target(site, facts, make_plan(site, facts, fit=False), "site.yaml")
    first = collect(build(load_plain(plain)))
    plan = make_plan(site, first, fit=False)
    plain = _base(changes) | {"parameters": " ".join(("quiet", *plan.kernel_args, *changes.get("more", ())))}
    plain.setdefault("isolated", format_cpus(plan.isolated))
    if "memory" not in changes:
        for node in plain["memory"]:
            count = sum(need.count for need in plan.hugepages if need.node == node.get("node", 0))
            node["hugepages"] = {2048: count, 1048576: 0}
    facts = collect(build(load_plain(plain)))
    return Target(site, facts, make_plan(site, facts, fit=False), "site.yaml")


def _base(changes: dict[str, Any]) -> dict[str, Any]:
    plain = _yaml(CASES / "host.yaml")
    functions = {function["address"]: function for function in plain["pci"]}
    for address, members in changes.get("pci", {}).items():
        functions[address] |= members
    plain |= deepcopy({key: value for key, value in changes.items() if key not in ("pci", "more", "as_is")})
    return plain


def _change(texts: Sections, change: dict[str, Any], folder: Path) -> None:
    reading = texts[change["in"]]
    name = change["section"]
    if "remove" in change:
        del reading[name]
    elif "text" in change:
        reading[name] = change["text"]
    elif "file" in change:
        reading[name] = (folder / change["file"]).read_text().rstrip("\n")
    else:
        old, new = str(change["old"]), str(change["new"])
        assert old in reading.get(name, ""), f"{old!r} is not in {name}: {reading.get(name, '')[:2000]}"
        reading[name] = reading[name].replace(old, new)


def _yaml(file: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(file.read_text()))


# --- a healthy host


def healthy(target: Target) -> Sections:
    """What the scripts print where everything is as planned and the distribution's Open vSwitch runs."""
    facts, plan = target.facts, target.plan
    return {
        "machine": _machine(facts, plan),
        "samples": {"self": ""} | _samples(facts, plan),
        "switch": _switch(target, plan),
    }


def _machine(facts: Facts, plan: Plan) -> dict[str, str]:
    online = [cpu.id for cpu in facts.cpus if cpu.online]
    cpu = [
        f"isolated:{format_cpus(cpu.id for cpu in facts.cpus if cpu.isolated)}",
        f"nohz_full:{format_cpus(plan.isolated)}",
        "smt/control:on",
        "cpufreq/boost:1",
    ]
    for number in online:
        cpu.append(f"cpu{number}/cpufreq/scaling_governor:performance")
        cpu += [f"cpu{number}/cpufreq/{name}_max_freq:4208203" for name in ("scaling", "cpuinfo")]
        for state, (name, latency, off) in enumerate((("POLL", 0, 0), ("C1", 1, 0), ("C2", 18, 1))):
            folder = f"cpu{number}/cpuidle/state{state}"
            cpu += [f"{folder}/name:{name}", f"{folder}/latency:{latency}", f"{folder}/disable:{off}"]
    host = format_cpus(plan.pools.host)
    affinities = [f"default_smp_affinity:{mask(plan.pools.host).removeprefix('0x')}"]
    affinities += [f"{FIRST_IRQ + number}/smp_affinity_list:{host}" for number in range(3)]
    affinities += [f"{FIRST_IRQ + number}/effective_affinity_list:{plan.pools.host[0]}" for number in range(3)]
    dpdk = [nic for nic in plan.nics if nic.role == "ovs-dpdk"]
    return {
        "user": "0",
        "grub": f"\tlinux /boot/vmlinuz root=/dev/vda1 ro {' '.join(plan.kernel_args)}",
        "kernel": "Ubuntu 6.8.0-57.59-generic 6.8.12",
        "cpu": "\n".join(cpu),
        "settings": f"/sys/devices/virtual/workqueue/cpumask:{mask(plan.pools.host).removeprefix('0x')}\n"
        "/proc/sys/kernel/nmi_watchdog:1\n/proc/sys/kernel/soft_watchdog:1\n"
        f"/proc/sys/kernel/watchdog_cpumask:{host}\n"
        "/sys/devices/system/clocksource/clocksource0/current_clocksource:tsc\n"
        "/proc/sys/kernel/numa_balancing:0\n/proc/sys/kernel/sched_rt_runtime_us:950000",
        "latency": "  2000000000",
        "meminfo": "HugePages_Total:    512\nHugepagesize:       2048 kB",
        "hugepages": _hugepages(
            (node.node, pool.size_kib, pool.total, pool.free) for node in facts.memory for pool in node.hugepages
        ),
        "mounts": "hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0",
        "affinities": "\n".join(affinities),
        "irqbalance": f"pid:700\nIRQBALANCE_BANNED_CPULIST={format_cpus(plan.isolated)}",
        "threads": _threads(plan),
        "guests": f"/proc/{GUEST_PID}/cmdline:qemu-system-x86_64 -name guest=instance-00000001,debug-threads=on "
        f"-blockdev {INSTANCE.state}/nova/instances/1/disk -chardev socket,id=charnet0,path=/run/vhost-user/vhu0,server=on "
        '-netdev {"type":"vhost-user","chardev":"charnet0","id":"hostnet0"} ',
        "guest memory": f"/proc/{GUEST_PID}/smaps_rollup:Shared_Hugetlb:  4194304 kB",
        "servers": f"{INSTANCE.state}/libvirt/run/qemu/instance-00000001.xml:<nova:name>{_first(plan)}",
        "states": f"{INSTANCE.state}/libvirt/run/qemu/instance-00000001.xml:<domstatus state='running' reason='booted' "
        f"pid='{GUEST_PID}'",
        "drivers": "\n".join(
            f"/sys/bus/pci/devices/{nic.address}/driver ../../../bus/pci/drivers/{nic.driver}"
            for nic in facts.nics
            if nic.address and nic.driver
        ),
        "overrides": "\n".join(f"/etc/driverctl.d/pci-{nic.address}:{nic.dpdk.kmod}" for nic in dpdk),
        "functions": "\n".join(
            f"/sys/bus/pci/devices/{nic.address}/virtfn{number} ../0000:07:10.{number}"
            for nic in plan.nics
            for number in range(len(nic.vfs))
        ),
        "vfs": json.dumps(
            [
                {
                    "ifname": nic.name,
                    "vfinfo_list": [
                        {"vf": number, "spoofchk": False, "trust": False} for number in range(len(nic.vfs))
                    ],
                }
                for nic in plan.nics
                if nic.vfs
            ]
        ),
        "networking": "/etc/netplan/50-home.yaml:    enp6s0:\n/etc/netplan/50-home.yaml:      match:",
        "qemu": "QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)",
    }


def _first(plan: Plan) -> str:
    """The name of the first pinned guest, which is the one that runs."""
    return next((guest.name for guest in plan.guests if guest.pinned), "")


def _hugepages(pools: Iterable[tuple[int, int, int, int]]) -> str:
    """The counters of NUMA node, page size in KiB, total and free pages."""
    return "\n".join(
        f"node{node}/hugepages/hugepages-{size}kB/{kind}_hugepages:{count}"
        for node, size, total, free in pools
        for kind, count in (("nr", total), ("free", free))
    )


def _threads(plan: Plan) -> str:
    target, shared = format_cpus(plan.pools.host), format_cpus(plan.pools.shared)
    threads = [
        (1, 1, "systemd", target, False),
        (2, 2, "kthreadd", format_cpus(plan.pools.host), True),
        (15, 15, "migration/1", "1", True),
        (PID, PID, "ovs-vswitchd", target, False),
        (PID, PID + 1, "handler2", target, False),
        (PID, PID + 2, "revalidator3", target, False),
        *((PID, PID + 10 + cpu, f"pmd-c{cpu:02}/id:{cpu}", str(cpu), False) for cpu in plan.pools.pmd),
        (GUEST_PID, GUEST_PID, "qemu-system-x86", shared, False),
        (GUEST_PID, GUEST_PID + 9, "TC tc-ram-node0", "0-11", False),
        *(
            (GUEST_PID, GUEST_PID + 20 + number, f"CPU {number}/KVM", str(cpu), False)
            for number, cpu in enumerate(plan.pools.dedicated[:2])
        ),
    ]
    lines = []
    for pid, tid, name, cpus, kernel in threads:
        path = f"{pid}/task/{tid}/status"
        lines += [f"{path}:Name:\t{name}", f"{path}:State:\tS (sleeping)"]
        lines += [] if kernel else [f"{path}:VmSize:\t  1000 kB"]
        lines.append(f"{path}:Cpus_allowed_list:\t{cpus}")
    return "\n".join(lines)


def _samples(facts: Facts, plan: Plan) -> dict[str, str]:
    online = [cpu.id for cpu in facts.cpus if cpu.online]
    found = {}
    for at, name in enumerate(("before", "after")):
        first = plan.pools.host[0]

        def row(label: str, counts: dict[int, int], what: str) -> str:
            return f"{label:>4}: " + " ".join(f"{counts.get(cpu, 0):>10}" for cpu in online) + f"  {what}"

        lines = [
            "           " + " ".join(f"{f'CPU{cpu}':<10}" for cpu in online),
            row("24", {first: 10 + 40 * at}, "IR-PCI-MSI-0000:01:00.0    1-edge      nvme0q1"),
            row("25", {first: 500 + 100 * at}, "IR-PCI-MSI-0000:06:00.0    0-edge      enp6s0"),
            row("26", {first: 7}, "IR-PCI-MSI-0000:02:00.0    0-edge      xhci_hcd"),
            row(
                "LOC",
                {cpu: 1000 + (1 if cpu in plan.isolated else 125) * at for cpu in online},
                "Local timer interrupts",
            ),
            row("RES", dict.fromkeys(online, 50), "Rescheduling interrupts"),
            row("CAL", dict.fromkeys(online, 50 + 2 * at), "Function call interrupts"),
            " ERR:          0",
            " MIS:          0",
        ]
        throttles = (
            f"/sys/devices/system/cpu/cpu{cpu}/thermal_throttle/{kind}_throttle_count:0"
            for cpu in online
            for kind in ("core", "package")
        )
        found |= {
            f"uptime {name}": f"{1000 + at * 0.5:.2f} 2000.00",
            f"interrupts {name}": "\n".join(lines),
            f"throttled {name}": "\n".join(throttles),
            # dpctl/show -s of OVS 3.5.0 with a guest that had booted under QEMU 7.2.
            f"datapath {name}": (CASES / "datapath.txt").read_text().rstrip("\n"),
            f"pmd cycles {name}": "\n".join(
                f"pmd thread numa_id 0 core_id {cpu}:\n  packets received: {700 + 500 * at}\n"
                f"  idle cycles: {10**9 + 150_000_000 * at} (90.00%)\n  processing cycles: {10**8 + 50_000_000 * at} (10.00%)"
                for cpu in plan.pools.pmd
            ),
            f"sockets {name}": "Netid Recv-Q Send-Q Local Address:Port Peer Address:Port",
            f"stat {name}": "\n".join(f"cpu{cpu} {5000 + 50 * at} 0 10 20 0 0 1 3 0 0" for cpu in online),
            f"scheduling {name}": "\n".join(_scheduling(plan, at)),
        }
    return found | {
        "coverage": "netlink_sent               0.8/sec     0.800/sec        0.0842/sec   total: 307",
        "connections": "12",
        "most connections": "3000000",
        "socket files": "socket:[8375075]",
    }


def _scheduling(plan: Plan, at: int) -> Iterable[str]:
    """The times of PMD threads, which only run, and of vCPUs, which wait for 5 µs after each wake-up."""
    for cpu in plan.pools.pmd:
        task = f"/proc/{PID}/task/{PID + 10 + cpu}"
        yield f"{task}/schedstat:{10**12 + 500_000_000 * at} {2_000_000 + 9_000 * at} {40 + at}"
        yield f"{task}/status:State:\tR (running)"
        yield f"{task}/status:nonvoluntary_ctxt_switches:\t{30 + at}"
    for number, _ in enumerate(plan.pools.dedicated[:2]):
        task = f"/proc/{GUEST_PID}/task/{GUEST_PID + 20 + number}"
        yield f"{task}/schedstat:{10**10 + 50_000_000 * at} {10**8 + 2_500_000 * at} {9000 + 500 * at}"
        yield f"{task}/status:State:\tS (sleeping)"
        yield f"{task}/status:nonvoluntary_ctxt_switches:\t{3 + at}"


def _switch(target: Target, plan: Plan) -> dict[str, str]:
    config = target.plan.ovs_other_config
    bridges = ("br-int", *target.bridges.values())
    nic = {"numa_id": "0", "n_rxq": "1", "n_txq": str(len(plan.pools.pmd) + 1)}
    ports = [
        ["i1", "br-int", "internal", [], {"driver_name": "tun"}, {}, "down", {}, 1500],
        ["i2", "dpdk0", "dpdk", [], nic, {}, "up", {"dpdk-devargs": "x"}, 1500],
        [
            "i3",
            "vhu0",
            "dpdkvhostuserclient",
            [],
            VHOST_STATUS,
            {},
            "up",
            {"vhost-server-path": "/run/vhost-user/vhu0"},
            1500,
        ],
    ]
    queues = [f"pmd thread numa_id 0 core_id {cpu}:\n  isolated : false" for cpu in plan.pools.pmd]
    queues[0] += "\n  port: dpdk0             queue-id:  0 (enabled)   pmd usage: 20 %"
    queues[-1] += "\n  port: vhu0              queue-id:  0 (enabled)   pmd usage:  5 %\n  overhead:  1 %"
    # A NIC with a Tx queue for each PMD thread and one more, and a guest's port with one queue.
    own = (port_mbufs(1, len(plan.pools.pmd)), queue_mbufs(1, 1))
    sizes = own if "per-port-memory" in config else (shared_mbufs(1500),)
    return {
        "whose": "packaged",
        "run": "/run/openvswitch",
        "sockets": "/run/vhost-user",
        "pid": str(PID),
        "exe": "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk",
        "alternative": "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk",
        "connected": " 03 12345 /run/vhost-user/vhu0",
        "folder": "755 libvirt-qemu",
        "tables": "\n".join(
            (
                _table(
                    ["other_config", "dpdk_initialized", "dpdk_version", "ovs_version"],
                    [[config, True, "DPDK 23.11.0", "3.3.4"]],
                ),
                _table(
                    ["name", "datapath_type", "ports"],
                    [
                        [name, "netdev", [["uuid", f"p{port}"] for port in (1, 2, 3)] if name == "br-int" else []]
                        for name in bridges
                    ],
                ),
                _table(["_uuid", "interfaces"], [[["uuid", f"p{port}"], ["uuid", f"i{port}"]] for port in (1, 2, 3)]),
                _table(
                    ["_uuid", "name", "type", "error", "status", "statistics", "link_state", "options", "mtu"],
                    [[["uuid", port[0]], *port[1:]] for port in ports],
                ),
            )
        ),
        "queues": "Displaying last 60 seconds pmd usage %\n" + "\n".join(queues),
        "mempools": "\n".join(
            f"mempool <ovs1a2b3c4{number}00{2030:05}{size:07}>@0x1\n  size={size}\n  total_cache_count=512\n"
            f"  common_pool_count={size - 4096}"
            for number, size in enumerate(sizes)
        ),
    }


def _table(headings: list[str], rows: list[list[Any]]) -> str:
    """A table as ``ovs-vsctl --format=json`` prints it."""

    def cell(value: Any) -> Any:
        if isinstance(value, dict):
            return ["map", [[key, item] for key, item in value.items()]]
        return ["set", value] if isinstance(value, list) and value[:1] != ["uuid"] else value

    return json.dumps({"headings": headings, "data": [[cell(value) for value in row] for row in rows]})
