"""A guest of a path: a virtual machine of ouchi's own image under QEMU, whose kernel routes between its two ports.

It routes IPv4 by static neighbours alone: what comes in for the right network leaves at the right port to whoever is
behind that one, with one hop less to live, and the other way round. It asks nobody and answers nobody.

QEMU goes on only when somebody has come to both of its sockets. So a guest is started, its ports are attached, and
then it is waited for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ouchi.core.cpulist import parse_cpus
from ouchi.core.errors import Failed, error
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import CommandFailed, Machine
from ouchi.machine.background import Background, Launcher
from ouchi.measure.paths.path import RING
from ouchi.plan.mempools import MTU
from ouchi.vnf.testpmd import TIED

PROGRAM = "qemu-system-x86_64"
MIB = 256
"""What the guest's kernel and its buffers fit into with room to spare."""
NETWORKS = ("198.18.0.0/16", "198.19.0.0/16")
"""What is behind the left port and what is behind the right one: RFC 2544's addresses, halved."""
ROUTES = "ouchi-guest: routes"
"""What the guest says on its console when it does."""
PATIENCE = 60.0
"""Seconds within which it must: many times what starting takes, emulated too."""

_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_END = 600  # characters of what it said last
_TERMINAL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")  # what the guest's shell says to a terminal

ROUTER = """\
#!/bin/sh
# Made by ouchi: route between two networks, asking nobody.
set -e
trap '[ $? = 0 ] || echo "ouchi-guest: does not route"' EXIT

# Nobody will ever answer DHCP here, and its sockets would look at each frame.
until [ "$(pidof udhcpc | wc -w)" = 2 ]; do usleep 10000; done
killall udhcpc
while pidof udhcpc >/dev/null; do usleep 10000; done

# Nothing is sent but what is routed: no neighbour discovery, no redirects, no errors about what cannot be delivered.
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
for path in /proc/sys/net/ipv4/conf/*; do
    echo 0 >"$path/rp_filter"
    echo 0 >"$path/send_redirects"
    echo 0 >"$path/accept_redirects"
done
echo 0 >/proc/sys/net/ipv4/icmp_msgs_per_sec
# No frame is for the guest itself, so it need not look for a socket first.
echo 0 >/proc/sys/net/ipv4/ip_early_demux
ip route add blackhole default

# join MAC NEIGHBOUR NETWORK ADDRESS GATEWAY: a port, by its address; who is behind it has a made-up IP address.
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
"""What the guest runs; the image's own start has switched forwarding on."""


@dataclass(frozen=True, slots=True)
class Side:
    """A port of the guest: its vhost-user socket, its MAC address, and the MAC address of whoever is behind it."""

    socket: str
    mac: str
    neighbour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a guest is made.

    ``cpus``: for QEMU's own threads, and for its only vCPU. ``kvm``: else it is emulated (TCG). ``mtu``: bytes, of both
    ports. ``node``: the NUMA node of its memory, ``page_kib``: the size of the hugepages that this is made of.
    """

    cpus: tuple[int, int]
    kvm: bool
    mtu: int = MTU
    node: int = 0
    page_kib: int = 2048


def memory_kib(page_kib: int) -> int:
    """The memory of a guest: whole hugepages."""
    return -(-MIB * 1024 // page_kib) * page_kib


class Virtual:
    """A started guest. Its end takes away its sockets and its config drive; what it said stays until the next one."""

    def __init__(self, machine: Machine, process: Background, place: str, sides: Sequence[Side], shape: Shape) -> None:
        self._machine, self._process, self._place = machine, process, place
        self._sides, self._shape = sides, shape

    @property
    def pid(self) -> int:
        """QEMU's process number."""
        return self._process.pid

    def log_tail(self) -> str:
        """The end of what the guest wrote on its console, and of what QEMU had to say."""
        said = ""
        with suppress(OSError):
            said = _TERMINAL.sub("", self._machine.read(_console(self._place)))[-_END:].strip()
        return "\n".join(filter(None, (said, self._process.log_tail()[-_END:])))

    def wait_ready(self, seconds: float = PATIENCE) -> None:
        """Bind its vCPU, and return when the guest routes. Somebody must have come to both sockets by then, or soon.

        Raises :class:`~ouchi.core.errors.Failed`, with the last that was heard, when QEMU ends or ``seconds`` go by.
        """
        what = f"the virtual machine to say {ROUTES!r}"
        bound = False

        def probe() -> None:
            nonlocal bound
            if (status := self._process.status()) is not None:
                raise Failed(
                    error(
                        "the virtual machine is gone",
                        where=self._place,
                        found=f"QEMU ended with status {status}: {self.log_tail()}",
                        expected="that it starts and routes",
                        remedy="see whether there are free hugepages: grep HugePages /proc/meminfo",
                    )
                )
            bound = bound or self._bind()
            if not bound:
                raise NotYet(f"no vCPU: QEMU waits for both of its ports to be attached; {self.log_tail()}")
            if ROUTES not in self._machine.read(_console(self._place)):
                raise NotYet(self.log_tail())

        wait_for(what, probe, seconds=seconds, every=0.05)

    def end(self) -> None:
        """End it. Twice is fine."""
        # A QEMU that still waits for its ports is deaf to anything polite, and there is nothing in a guest to be saved.
        self._process.end(seconds=1.0)
        _clear(self._machine, self._place, self._sides)

    def _bind(self) -> bool:
        """Give the vCPU the CPU that is its own; False while there is none. Raises Failed when the kernel refuses."""
        tasks = f"/proc/{self.pid}/task"
        for task in self._machine.entries(tasks):
            # A thread that is gone meanwhile was no vCPU.
            with suppress(OSError):
                if self._machine.read(f"{tasks}/{task}/comm").startswith("CPU "):
                    cpu = self._shape.cpus[1]
                    self._machine.run(("taskset", "-p", "-c", str(cpu), task))
                    self._require_bound(f"{tasks}/{task}/status", cpu)
                    return True
        return False

    def _require_bound(self, path: str, cpu: int) -> None:
        lines = self._machine.read(path).splitlines()
        found = next((line.partition(":")[2].strip() for line in lines if line.startswith("Cpus_allowed_list:")), "")
        if parse_cpus(found) != (cpu,):
            raise Failed(
                error(
                    "the virtual machine's vCPU is not where it should be",
                    where=path,
                    found=f"CPUs {found or 'unknown'}",
                    expected=f"CPU {cpu} alone",
                    remedy="see whether something else moves threads: a cpuset, or a daemon for CPU affinities",
                )
            )


def start_virtual(
    machine: Launcher,
    folder: str,
    number: int,
    image: str,
    sides: tuple[Side, Side],
    shape: Shape,
    env: Mapping[str, str],
) -> Virtual:
    """Start a guest of the raw disk ``image``, which is only read. ``sides``: left, right; ``number`` tells guests apart.

    Its files are ``folder``/guest*; both sockets are listened on a moment later. Whether it routes shows
    :meth:`Virtual.wait_ready`. Raises :class:`~ouchi.core.errors.Failed` when it cannot be started.
    """
    place = f"{folder}/guest{number}"
    _clear(machine, place, sides)
    try:
        _write_config(machine, place, router(sides, shape.mtu))
        machine.remove(_console(place))
        # All its threads begin on the first CPU; the vCPU moves when it is there.
        argv = [*TIED, "taskset", "-c", str(shape.cpus[0]), *command(place, number, image, sides, shape)]
        return Virtual(machine, machine.start(argv, log=f"{place}.log", env=dict(env)), place, sides, shape)
    except CommandFailed as reason:
        _clear(machine, place, sides)
        raise Failed(
            error(
                "the virtual machine does not start",
                where=" ".join(reason.result.argv)[:200],
                found=reason.result.stderr.strip()[-_END:] or f"status {reason.result.status}",
                remedy="apt install qemu-system-x86 genisoimage util-linux",
            )
        ) from None


def command(place: str, number: int, image: str, sides: Sequence[Side], shape: Shape) -> list[str]:
    """QEMU's command line."""
    argv = [PROGRAM, "-name", f"ouchi-guest{number},debug-threads=on"]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-sandbox", _SANDBOX]
    argv += ["-machine", "q35,memory-backend=memory", "-smp", "1", "-m", f"{memory_kib(shape.page_kib)}K"]
    argv += ["-accel", "kvm", "-cpu", "host"] if shape.kvm else ["-accel", "tcg", "-cpu", "qemu64"]
    memory = f"memory-backend-memfd,id=memory,size={memory_kib(shape.page_kib)}K,share=on,prealloc=on"
    memory += f",hugetlb=on,hugetlbsize={shape.page_kib}K,host-nodes={shape.node},policy=bind"
    argv += ["-object", memory, "-serial", f"file:{_console(place)}"]
    disks = (("disk", image, ",bootindex=1"), ("config", _drive(place), ""))
    for name, path, more in disks:
        argv += ["-drive", f"file={_quote(path)},format=raw,if=none,id={name},readonly=on"]
        argv += ["-device", f"virtio-blk-pci,drive={name}{more}"]
    # Without KVM, QEMU (7.2 at least) crashes when a guest masks an MSI-X vector of a vhost-user port.
    vectors = "" if shape.kvm else ",vectors=0"
    for end, side in enumerate(sides):
        argv += ["-chardev", f"socket,id=socket{end},path={_quote(side.socket)},server=on,wait=off"]
        argv += ["-netdev", f"vhost-user,id=port{end},chardev=socket{end}"]
        device = f"virtio-net-pci,netdev=port{end},mac={side.mac},rx_queue_size={RING},tx_queue_size={RING}"
        # Frames are routed as they are, and no port is booted from.
        argv += ["-device", f"{device},host_mtu={shape.mtu},csum=off,guest_csum=off,romfile={vectors}"]
    return argv


def router(sides: Sequence[Side], mtu: int) -> str:
    """The script that makes a router of the guest."""
    joins = [
        f"join {side.mac} {side.neighbour} {network} 192.0.2.{4 * end + 1} 192.0.2.{4 * end + 2}"
        for end, (side, network) in enumerate(zip(sides, NETWORKS, strict=True))
    ]
    return ROUTER.replace("@MTU@", str(mtu)).replace("@JOINS@", "\n".join(joins)).replace("@ROUTES@", ROUTES)


def _write_config(machine: Machine, place: str, script: str) -> None:
    """The config drive: an ISO 9660 image labelled ``config-2``, as a cloud makes it."""
    top = f"{place}.config"
    told = f"{top}/openstack/latest"
    machine.make_folder(told)
    machine.write(f"{told}/meta_data.json", json.dumps({"hostname": "guest", "meta": {"ouchi_forwards": "true"}}))
    machine.write(f"{told}/user_data", script)
    machine.run(("genisoimage", "-quiet", "-J", "-r", "-V", "config-2", "-o", _drive(place), top))
    machine.remove(top)


def _clear(machine: Machine, place: str, sides: Sequence[Side]) -> None:
    """Take away what must not outlast a guest."""
    for path in (f"{place}.config", _drive(place), *(side.socket for side in sides)):
        machine.remove(path)


def _console(place: str) -> str:
    return f"{place}.console"


def _drive(place: str) -> str:
    return f"{place}.iso"


def _quote(text: str) -> str:
    """A value among QEMU's options, where a comma ends it."""
    return text.replace(",", ",,")
