"""A guest of a path: a virtual machine of ouchi's image under QEMU, whose kernel routes between its two ports.

It routes IPv4 with static neighbours only: frames for the right network leave at the right port to the neighbour
there, with the TTL decremented, and vice versa. It sends nothing else: no ARP, no ICMP.

QEMU blocks until clients have connected to both of its sockets: start a guest, attach its ports, then wait for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ouchi.core.cpulist import parse_cpus
from ouchi.core.errors import Failed
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import CommandFailed, Machine
from ouchi.machine.background import Background, Launcher
from ouchi.plan.mempools import MTU
from ouchi.vnf.testpmd import DIE_WITH_PARENT

VIRTQUEUE_SIZE = 1024
"""Descriptors of each virtqueue: QEMU's maximum, and what plans give to guests."""
PROGRAM = "qemu-system-x86_64"
MIB = 256
"""More than enough for the guest's kernel and its buffers."""
NETWORKS = ("198.18.0.0/16", "198.19.0.0/16")
"""The networks behind the left and the right port: the halves of RFC 2544's benchmark addresses."""
ROUTES = "ouchi-guest: routes"
"""The line that the guest prints on its console when it routes."""
READY_TIMEOUT = 60.0
"""Seconds; starting takes a fraction, also when emulated."""

_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_TAIL = 600  # characters of the console
_TERMINAL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")  # escape sequences of the guest's shell

ROUTER = """\
#!/bin/sh
# Made by ouchi: route between two networks with static neighbours.
set -e
trap '[ $? = 0 ] || echo "ouchi-guest: does not route"' EXIT

# No DHCP server answers here, and the client's packet sockets would see every frame.
until [ "$(pidof udhcpc | wc -w)" = 2 ]; do usleep 10000; done
killall udhcpc
while pidof udhcpc >/dev/null; do usleep 10000; done

# Send nothing of our own: no neighbour discovery, no redirects, no ICMP errors.
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
for path in /proc/sys/net/ipv4/conf/*; do
    echo 0 >"$path/rp_filter"
    echo 0 >"$path/send_redirects"
    echo 0 >"$path/accept_redirects"
done
echo 0 >/proc/sys/net/ipv4/icmp_msgs_per_sec
# No frame is for the guest itself: skip the socket lookup.
echo 0 >/proc/sys/net/ipv4/ip_early_demux
ip route add blackhole default

# join MAC NEIGHBOUR NETWORK ADDRESS GATEWAY: configure a port; its neighbour gets a made-up IP address.
join() {
    for path in /sys/class/net/eth*; do
        if [ "$(cat "$path/address")" = "$1" ]; then device=${path##*/}; fi
    done
    ip link set "$device" mtu @MTU@ up
    ip address add "$4/30" dev "$device"
    arp -i "$device" -s "$5" "$2"
    ip route add "$3" via "$5" dev "$device"
}
@JOINS@
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
echo "@ROUTES@"
"""
"""The guest's script; the image has enabled IP forwarding."""


@dataclass(frozen=True, slots=True)
class VmPort:
    """A port of the guest: its vhost-user socket, its MAC address, and its neighbour's MAC address."""

    socket: str
    mac: str
    neighbour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmConfig:
    """A guest's configuration.

    ``cpus``: of QEMU's own threads, and of its only vCPU. ``kvm``: otherwise it is emulated (TCG). ``mtu``: bytes, of both
    ports. ``node``: the NUMA node of its memory, ``page_kib``: the size of its hugepages.
    """

    cpus: tuple[int, int]
    kvm: bool
    mtu: int = MTU
    node: int = 0
    page_kib: int = 2048


def memory_kib(page_kib: int) -> int:
    """The memory of a guest, rounded up to whole hugepages."""
    return -(-MIB * 1024 // page_kib) * page_kib


class GuestVm:
    """A started guest. ``end`` removes its sockets and config drive; its console is kept until the next guest."""

    def __init__(
        self, machine: Machine, process: Background, prefix: str, *, ports: Sequence[VmPort], config: VmConfig
    ) -> None:
        self._machine, self._process, self._prefix = machine, process, prefix
        self._ports, self._config = ports, config

    @property
    def pid(self) -> int:
        """QEMU's process number."""
        return self._process.pid

    def log_tail(self) -> str:
        """The end of the guest's console and of QEMU's output."""
        console = ""
        with suppress(OSError):
            console = _TERMINAL.sub("", self._machine.read(_console(self._prefix)))[-_TAIL:].strip()
        return "\n".join(filter(None, (console, self._process.log_tail()[-_TAIL:])))

    def wait_ready(self, seconds: float = READY_TIMEOUT) -> None:
        """Pin the vCPU and wait until the guest routes; clients must connect to both sockets meanwhile.

        Raises :class:`~ouchi.core.errors.Failed`, with the console's end, when QEMU ends or after ``seconds``.
        """
        what = f"the virtual machine to print {ROUTES!r}"
        pinned = False

        def probe() -> None:
            nonlocal pinned
            if (status := self._process.status()) is not None:
                raise Failed.of(
                    "the virtual machine has ended",
                    where=self._prefix,
                    found=f"QEMU ended with status {status}: {self.log_tail()}",
                    expected="a guest that routes",
                    remedy="see whether there are free hugepages: grep HugePages /proc/meminfo",
                )
            pinned = pinned or self._pin()
            if not pinned:
                raise NotYet(f"no vCPU yet: QEMU waits for both ports to be attached; {self.log_tail()}")
            if ROUTES not in self._machine.read(_console(self._prefix)):
                raise NotYet(self.log_tail())

        wait_for(what, probe, seconds=seconds, every=0.05)

    def end(self) -> None:
        """End it; does nothing the second time."""
        # QEMU ignores SIGTERM while it waits for its ports, and a guest has nothing to save.
        self._process.end(seconds=1.0)
        _clear(self._machine, self._prefix, self._ports)

    def _pin(self) -> bool:
        """Pin the vCPU's thread; False while there is none. Raises Failed when it has other CPUs afterwards."""
        tasks = f"/proc/{self.pid}/task"
        for task in self._machine.entries(tasks):
            # The thread may have ended meanwhile; a vCPU's would not.
            with suppress(OSError):
                if self._machine.read(f"{tasks}/{task}/comm").startswith("CPU "):
                    cpu = self._config.cpus[1]
                    self._machine.run(("taskset", "-p", "-c", str(cpu), task))
                    self._require_pinned(f"{tasks}/{task}/status", cpu)
                    return True
        return False

    def _require_pinned(self, path: str, cpu: int) -> None:
        lines = self._machine.read(path).splitlines()
        found = next((line.partition(":")[2].strip() for line in lines if line.startswith("Cpus_allowed_list:")), "")
        if parse_cpus(found) != (cpu,):
            raise Failed.of(
                "the virtual machine's vCPU is not pinned",
                where=path,
                found=f"CPUs {found or 'unknown'}",
                expected=f"CPU {cpu} alone",
                remedy="see whether a cpuset or a CPU affinity daemon changes it",
            )


def start_vm(
    machine: Launcher,
    folder: str,
    number: int,
    image: str,
    *,
    ports: tuple[VmPort, VmPort],
    config: VmConfig,
    env: Mapping[str, str],
) -> GuestVm:
    """Start a guest of the raw disk ``image``, which is only read. ``ports``: left, right; ``number`` distinguishes guests.

    Its files are ``folder``/guest*; it listens on both sockets a moment later. Then call :meth:`GuestVm.wait_ready`.
    Raises :class:`~ouchi.core.errors.Failed` when it cannot be started.
    """
    prefix = f"{folder}/guest{number}"
    _clear(machine, prefix, ports)
    try:
        _write_config(machine, prefix, router(ports, config.mtu))
        machine.remove(_console(prefix))
        # All threads start on the first CPU; the vCPU is pinned once it exists.
        argv = [
            *DIE_WITH_PARENT,
            "taskset",
            "-c",
            str(config.cpus[0]),
            *command(prefix, number, image, ports=ports, config=config),
        ]
        return GuestVm(
            machine, machine.start(argv, log=f"{prefix}.log", env=dict(env)), prefix, ports=ports, config=config
        )
    except CommandFailed as reason:
        _clear(machine, prefix, ports)
        raise Failed.of(
            "the virtual machine does not start",
            where=" ".join(reason.result.argv)[:200],
            found=reason.result.stderr.strip()[-_TAIL:] or f"status {reason.result.status}",
            remedy="apt install qemu-system-x86 genisoimage util-linux",
        ) from None


def command(prefix: str, number: int, image: str, *, ports: Sequence[VmPort], config: VmConfig) -> list[str]:
    """QEMU's command line."""
    argv = [PROGRAM, "-name", f"ouchi-guest{number},debug-threads=on"]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-sandbox", _SANDBOX]
    argv += ["-machine", "q35,memory-backend=memory", "-smp", "1", "-m", f"{memory_kib(config.page_kib)}K"]
    argv += ["-accel", "kvm", "-cpu", "host"] if config.kvm else ["-accel", "tcg", "-cpu", "qemu64"]
    memory = f"memory-backend-memfd,id=memory,size={memory_kib(config.page_kib)}K,share=on,prealloc=on"
    memory += f",hugetlb=on,hugetlbsize={config.page_kib}K,host-nodes={config.node},policy=bind"
    argv += ["-object", memory, "-serial", f"file:{_console(prefix)}"]
    disks = (("disk", image, ",bootindex=1"), ("config", _drive(prefix), ""))
    for name, path, more in disks:
        argv += ["-drive", f"file={_quote(path)},format=raw,if=none,id={name},readonly=on"]
        argv += ["-device", f"virtio-blk-pci,drive={name}{more}"]
    # Without KVM, QEMU (7.2 at least) crashes when a guest masks an MSI-X vector of a vhost-user port.
    vectors = "" if config.kvm else ",vectors=0"
    for end, port in enumerate(ports):
        argv += ["-chardev", f"socket,id=socket{end},path={_quote(port.socket)},server=on,wait=off"]
        argv += ["-netdev", f"vhost-user,id=port{end},chardev=socket{end}"]
        device = f"virtio-net-pci,netdev=port{end},mac={port.mac},rx_queue_size={VIRTQUEUE_SIZE},tx_queue_size={VIRTQUEUE_SIZE}"
        # No offloads, and no network boot.
        argv += ["-device", f"{device},host_mtu={config.mtu},csum=off,guest_csum=off,romfile={vectors}"]
    return argv


def router(ports: Sequence[VmPort], mtu: int) -> str:
    """The script that makes the guest a router."""
    joins = [
        f"join {port.mac} {port.neighbour} {network} 192.0.2.{4 * end + 1} 192.0.2.{4 * end + 2}"
        for end, (port, network) in enumerate(zip(ports, NETWORKS, strict=True))
    ]
    return ROUTER.replace("@MTU@", str(mtu)).replace("@JOINS@", "\n".join(joins)).replace("@ROUTES@", ROUTES)


def _write_config(machine: Machine, prefix: str, script: str) -> None:
    """The config drive: an ISO 9660 image labelled ``config-2``, as in OpenStack."""
    top = f"{prefix}.config"
    latest = f"{top}/openstack/latest"
    machine.make_folder(latest)
    machine.write(f"{latest}/meta_data.json", json.dumps({"hostname": "guest", "meta": {"ouchi_forwards": "true"}}))
    machine.write(f"{latest}/user_data", script)
    machine.run(("genisoimage", "-quiet", "-J", "-r", "-V", "config-2", "-o", _drive(prefix), top))
    machine.remove(top)


def _clear(machine: Machine, prefix: str, ports: Sequence[VmPort]) -> None:
    """Remove the sockets and files of an earlier guest."""
    for path in (f"{prefix}.config", _drive(prefix), *(port.socket for port in ports)):
        machine.remove(path)


def _console(prefix: str) -> str:
    return f"{prefix}.console"


def _drive(prefix: str) -> str:
    return f"{prefix}.iso"


def _quote(text: str) -> str:
    """A value in QEMU's option syntax, where commas separate."""
    return text.replace(",", ",,")
