"""The live state of a host: read by three scripts in parallel, then one frozen value."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from ouchi.core.instance import Instance
from ouchi.facts.boot import parse_parameters
from ouchi.facts.reading import cpus_of, pairs, whole
from ouchi.live.counters import Counters, parse_counters
from ouchi.live.cpus import Idle, parse_boost, parse_clocks, parse_idle, parse_resume, parse_throttles
from ouchi.live.guests import Guest, parse_guests
from ouchi.live.interrupts import Irqbalance, Line, mask_cpus, parse_affinities, parse_interrupts, parse_irqbalance
from ouchi.live.memory import parse_hugepages, parse_mounts
from ouchi.live.nics import parse_networking, parse_overrides, parse_vf_addresses, parse_vfs
from ouchi.live.ovs import Switch, parse_switch
from ouchi.live.scheduling import Scheduling, scheduled, stolen
from ouchi.live.sections import by_cpu, linked, numbers, sections
from ouchi.live.threads import Thread, parse_threads
from ouchi.machine import CommandFailed, Machine
from ouchi.plan.target import VHOST

SAMPLE_SECONDS = 0.5
"""Between the two readings of counters."""

PATIENCE = 15.0
"""Seconds that a script may take; on a healthy host none takes one."""
WATCH_PATIENCE = 7.0
"""The same where a host is read again and again."""

PACKAGED = "/run/openvswitch"
"""Run folder of the distribution's Open vSwitch."""

PACKAGED_LOGS = "/var/log/openvswitch"
"""Folder of its logs."""

MACHINE, SAMPLES, SWITCH = "machine", "samples", "switch"
"""The three readings, by which a check names what it needs."""

SCRIPTS = {
    MACHINE: ("cpus", "memory", "interrupts", "threads", "guests", "nics"),
    SAMPLES: ("counters", "samples"),
    SWITCH: ("switch",),
}
"""The files that make up each script, one per topic, joined into few runs, each a round trip to the host."""

READINGS = tuple(SCRIPTS)

FIRST = {MACHINE: "user", SAMPLES: "uptime before", SWITCH: "whose"}
"""The section that each reading begins with."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The output of each script by reading, and why others have none."""

    found: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: Texts) -> Texts:
        return Texts({**self.found, **other.found}, {**self.missing, **other.missing})


@dataclass(frozen=True, slots=True)
class Live:
    """The live state of a host, as far as it could be read; mappings by CPU have CPU numbers as keys."""

    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a reading failed, by reading."""
    root: bool = False
    scripts: tuple[int, ...] = ()
    """Processes of the scripts themselves."""

    seconds: float = 0.0
    """Between ``before`` and ``after``."""
    uptime: float = 0.0
    """Of the host in seconds, at ``after``."""
    before: Mapping[str, Line] = field(default_factory=dict)
    after: Mapping[str, Line] = field(default_factory=dict)
    throttled: Mapping[int, int] = field(default_factory=dict)
    """Thermal throttle events since boot, by CPU."""
    throttling: Mapping[int, int] = field(default_factory=dict)
    """The same during the sample."""
    scheduling: Mapping[int, Scheduling] = field(default_factory=dict)
    """How threads of ovs-vswitchd and QEMU were scheduled during the sample, by thread number."""
    stolen: Mapping[int, float] = field(default_factory=dict)
    """Seconds that a hypervisor took from each CPU during the sample."""

    kernel: str = ""
    grub: frozenset[str] | None = None
    """Kernel parameters in the boot loader's entries; None where they cannot be read."""
    isolated: tuple[int, ...] = ()
    nohz_full: tuple[int, ...] = ()
    smt: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of the running kernel, by the file that shows them."""
    governors: Mapping[int, str] = field(default_factory=dict)
    clocks: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """The highest clock that each CPU may have and the highest that it can have, in kHz."""
    boost: bool | None = None
    """Whether CPUs may exceed their base clock; None where the kernel does not show it."""
    idle: Mapping[int, tuple[Idle, ...]] = field(default_factory=dict)
    latency_us: int | None = None
    """The exit latency that programs request through /dev/cpu_dma_latency; None where only root may read it."""
    resume_us: Mapping[int, int] = field(default_factory=dict)
    """The exit latency requested for single CPUs."""

    hugepages: Mapping[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """Total and free pages by NUMA node and size in KiB."""
    page_kib: int = 0
    """The default hugepage size."""
    mounted: tuple[int, ...] = ()
    """Page sizes in KiB of the hugetlbfs mounts."""

    default_affinity: tuple[int, ...] = ()
    affinities: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Affinity of interrupts by IRQ."""
    effective: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Effective affinity of interrupts by IRQ."""
    irqbalance: Irqbalance | None = None

    threads: tuple[Thread, ...] = ()
    guests: tuple[Guest, ...] = ()
    libvirt: bool = False
    """Whether ouchi's libvirtd has a socket."""
    qemu: tuple[int, ...] = ()
    """Version of QEMU."""

    drivers: Mapping[str, str] = field(default_factory=dict)
    """Drivers of PCI functions by address."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """driverctl's overrides by address."""
    vf_addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Addresses of VFs by the address of their PF."""
    vfs: Mapping[str, tuple[Mapping[str, object], ...]] = field(default_factory=dict)
    """Settings of VFs by interface, as ``ip link`` prints them."""
    networking: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Interfaces and addresses in the network configuration, by file."""

    switch: Switch = field(default_factory=Switch)
    counters: Counters = field(default_factory=Counters)


def read(machine: Machine, instance: Instance, readings: Collection[str] = READINGS, seconds: float = PATIENCE) -> Live:
    """Read the live state of a host within about a second, ``seconds`` at most. Nothing is changed.

    What cannot be read is missing in the value; so are ``readings`` that are left out.
    """
    return parse_live(run_scripts(machine, instance, readings, seconds), instance)


@cache
def script(name: str) -> str:
    """Return a reading's script: what all of them begin with, then its files.

    Its output has sections, each begun by a line ``@@ NAME``; files are shown as ``PATH:LINE`` for every line
    (``grep -H``), so that thousands of small ones need one program. What only root may read is missing for others.
    """
    folder = resources.files("ouchi.live")
    return (
        "".join((folder / f"{part}.sh").read_text(encoding="utf-8") for part in ("head", *SCRIPTS[name])) + "exit 0\n"
    )


def run_scripts(
    machine: Machine, instance: Instance, readings: Collection[str] = READINGS, seconds: float = PATIENCE
) -> Texts:
    """Run the scripts of ``readings`` in parallel, each for at most ``seconds``."""
    arguments = {
        MACHINE: (instance.state, instance.libvirt_socket),
        SAMPLES: (f"{SAMPLE_SECONDS:g}", instance.ovs, PACKAGED),
        SWITCH: (instance.ovs, instance.vhost, PACKAGED, VHOST, instance.logs, PACKAGED_LOGS),
    }
    found, missing = {}, {}
    with ThreadPoolExecutor(len(READINGS)) as pool:
        futures = {
            name: pool.submit(
                machine.run, ("sh", "-c", script(name), name, *arguments[name]), timeout=seconds, check=False
            )
            for name in readings
        }
        for name, future in futures.items():
            try:
                found[name] = future.result().stdout
            except CommandFailed as reason:
                missing[name] = reason.findings[0].found
    return Texts(found, missing)


def parse_live(texts: Texts, instance: Instance) -> Live:
    """Return the live state in the output of the scripts. Any text is accepted."""
    host, samples, switch = (sections(texts.found.get(name, "")) for name in READINGS)
    read = {MACHINE: host, SAMPLES: samples, SWITCH: switch}
    silent = {name: "its script printed nothing" for name, key in FIRST.items() if key not in read[name]}
    cpu = pairs(host.get("cpu", ""), ":")
    begin, end = (_uptime(samples.get(f"uptime {name}", "")) for name in ("before", "after"))
    first, last = (parse_throttles(samples.get(f"throttled {name}", "")) for name in ("before", "after"))
    memory = pairs(host.get("meminfo", ""), ":")
    page_kib = whole(memory.get("Hugepagesize", "").removesuffix("kB"), 0)
    irqs = pairs(host.get("affinities", ""), ":")
    return Live(
        missing=silent | dict(texts.missing),
        root=host.get("user", "").strip() == "0",
        scripts=tuple(whole(reading.get("self", ""), 0) for reading in read.values()),
        seconds=max(0.0, end - begin),
        uptime=end,
        before=parse_interrupts(samples.get("interrupts before", "")),
        after=parse_interrupts(samples.get("interrupts after", "")),
        throttled=last,
        throttling={number: count - first.get(number, count) for number, count in last.items()},
        scheduling=scheduled(samples.get("scheduling before", ""), samples.get("scheduling after", "")),
        stolen=stolen(samples.get("stat before", ""), samples.get("stat after", "")),
        kernel=host.get("kernel", "").strip(),
        grub=_grub(host.get("grub", "")),
        isolated=cpus_of(cpu.get("isolated", "")),
        nohz_full=cpus_of(cpu.get("nohz_full", "")),
        smt=cpu.get("smt/control", ""),
        settings=pairs(host.get("settings", ""), ":"),
        governors=by_cpu(cpu, "cpufreq/scaling_governor"),
        clocks=parse_clocks(cpu),
        boost=parse_boost(cpu),
        idle=parse_idle(cpu),
        latency_us=limit if (limit := whole(host.get("latency", ""), -1)) >= 0 else None,
        resume_us=parse_resume(cpu),
        hugepages=parse_hugepages(host.get("hugepages", "")),
        page_kib=page_kib,
        mounted=parse_mounts(host.get("mounts", ""), page_kib),
        default_affinity=mask_cpus(irqs.get("default_smp_affinity", "")),
        affinities=parse_affinities(irqs, "smp_affinity_list"),
        effective=parse_affinities(irqs, "effective_affinity_list"),
        irqbalance=parse_irqbalance(host.get("irqbalance", "")),
        threads=parse_threads(host.get("threads", "")),
        guests=parse_guests(host, instance.state),
        libvirt=host.get("libvirt", "").strip() == "up",
        qemu=numbers(host.get("qemu", "")),
        drivers={path.split("/")[-2]: name for path, name in linked(host.get("drivers", "")).items() if "/" in path},
        overrides=parse_overrides(host.get("overrides", "")),
        vf_addresses=parse_vf_addresses(host.get("functions", "")),
        vfs=parse_vfs(host.get("vfs", "")),
        networking=parse_networking(host.get("networking", "")),
        switch=parse_switch(switch),
        counters=parse_counters(samples),
    )


def _uptime(text: str) -> float:
    match = re.match(r"([0-9]{1,12}\.[0-9]{1,3}) ", text)
    return float(match[1]) if match else 0.0


def _grub(lines: str) -> frozenset[str] | None:
    """Return the kernel parameters of all boot loader entries together."""
    parameters = frozenset(word for line in lines.split("\n") for word in parse_parameters(line))
    return parameters or None
