"""A host as it is at this moment: read by three scripts side by side, then one frozen value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ouchi.core.instance import Instance
from ouchi.facts.boot import parse_parameters
from ouchi.facts.reading import cpus_of, pairs, whole
from ouchi.live.interrupts import Line, parse_interrupts
from ouchi.live.ovs import Switch, parse_switch
from ouchi.live.scripts import script
from ouchi.live.sections import by_cpu, linked, sections, values
from ouchi.live.threads import Guest, Thread, parse_guests, parse_threads
from ouchi.machine import CommandFailed, Machine
from ouchi.plan.target import VHOST

SAMPLE_SECONDS = 0.5
"""Between the two looks at what counts up."""

PATIENCE = 15.0
"""Seconds that a script may take; on a host that is well none takes one."""

PACKAGED = "/run/openvswitch"
"""Where the distribution's Open vSwitch has its sockets."""

MACHINE, SAMPLES, SWITCH = "machine", "samples", "switch"
"""The three readings, named as their scripts, by which a check says what it needs."""

FIRST = {MACHINE: "user", SAMPLES: "uptime before", SWITCH: "whose"}
"""The section that each reading begins with."""

BANNED = ("IRQBALANCE_BANNED_CPUS", "IRQBALANCE_BANNED_CPULIST")

_STATE = re.compile(r"cpu([0-9]{1,4})/cpuidle/state([0-9]{1,2})/(name|latency|disable)")
_IRQ = re.compile(r"([0-9]{1,7})/(smp_affinity_list|effective_affinity_list)")
_MASK = re.compile(r"[0-9a-fA-F]{1,8}(?:,[0-9a-fA-F]{1,8})*")
_PAGE = re.compile(r"\bpagesize=([0-9]{1,9})([KMG]?)")
_QEMU = re.compile(r"version ([0-9]{1,3})\.([0-9]{1,3})(?:\.([0-9]{1,4}))?")
_UNIT_KIB = {"K": 1, "M": 1024, "G": 1024 * 1024}


@dataclass(frozen=True, slots=True)
class Idle:
    """An idle state of a CPU: its number, name, µs to leave it, and whether it is switched off."""

    number: int
    name: str
    latency_us: int
    disabled: bool


@dataclass(frozen=True, slots=True)
class Irqbalance:
    """A running irqbalance and the CPUs it was told to leave alone; ``told`` is None when only root may see it.

    ``kept``: the variable of /etc/default/irqbalance, which beats those of drop-ins, that says so.
    """

    pid: int
    told: str | None
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """What a host is doing, as far as it could be read. ``missing``: readings that failed, and why.

    ``seconds`` lie between ``before`` and ``after``. ``grub`` are the words of the boot loader's own kernel lines, None
    where they cannot be read. ``nohz_full`` and ``isolated`` are the kernel's lists.
    ``latency_us``: what programs ask idle states to keep to, None when only root may see it; ``resume_us`` the same of
    single CPUs. ``mounted`` are the page
    sizes in KiB that have a hugetlbfs. ``scripts`` are the processes that read all this. ``affinities`` are IRQs' by number, ``effective`` where the kernel really
    sends them. ``vfs`` are ``ip link``'s virtual functions by interface; ``networking`` the interfaces and addresses
    that configuration files name, by file.
    """

    missing: Mapping[str, str] = field(default_factory=dict)
    root: bool = False
    seconds: float = 0.0
    before: Mapping[str, Line] = field(default_factory=dict)
    after: Mapping[str, Line] = field(default_factory=dict)
    throttled: Mapping[int, int] = field(default_factory=dict)
    throttling: Mapping[int, int] = field(default_factory=dict)
    kernel: str = ""
    grub: frozenset[str] | None = None
    isolated: tuple[int, ...] = ()
    nohz_full: tuple[int, ...] = ()
    smt: str = ""
    governors: Mapping[int, str] = field(default_factory=dict)
    idle: Mapping[int, tuple[Idle, ...]] = field(default_factory=dict)
    latency_us: int | None = None
    resume_us: Mapping[int, int] = field(default_factory=dict)
    page_kib: int = 0
    mounted: tuple[int, ...] = ()
    default_affinity: tuple[int, ...] = ()
    affinities: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    effective: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    irqbalance: Irqbalance | None = None
    threads: tuple[Thread, ...] = ()
    scripts: tuple[int, ...] = ()
    guests: tuple[Guest, ...] = ()
    drivers: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vfs: Mapping[str, tuple[Mapping[str, object], ...]] = field(default_factory=dict)
    networking: Mapping[str, frozenset[str]] = field(default_factory=dict)
    qemu: tuple[int, ...] = ()
    switch: Switch = field(default_factory=Switch)


def gather(machine: Machine, instance: Instance) -> Live:
    """Read the host within about a second. Nothing is changed; what cannot be read is missing in the value."""
    folders = (instance.ovs, instance.vhost, PACKAGED, VHOST)
    readings: dict[str, Callable[[], str]] = {
        MACHINE: lambda: _run(machine, MACHINE),
        SAMPLES: lambda: _run(machine, SAMPLES, f"{SAMPLE_SECONDS:g}"),
        SWITCH: lambda: _run(machine, SWITCH, *folders),
    }
    texts, missing = {}, {}
    with ThreadPoolExecutor(len(readings)) as beside:
        asked = {name: beside.submit(reading) for name, reading in readings.items()}
        for name, answer in asked.items():
            try:
                texts[name] = answer.result()
            except CommandFailed as reason:
                missing[name] = reason.findings[0].found
    return parse_live(texts, instance, missing)


def _run(machine: Machine, name: str, *words: str) -> str:
    return machine.run(("sh", "-c", script(name), name, *words), timeout=PATIENCE, check=False).stdout


def parse_live(texts: Mapping[str, str], instance: Instance, missing: Mapping[str, str]) -> Live:
    """The live state from what the scripts printed, by reading. Any text is fine."""
    host, samples, switch = (sections(texts.get(name, "")) for name in (MACHINE, SAMPLES, SWITCH))
    read = {MACHINE: host, SAMPLES: samples, SWITCH: switch}
    silent = {name: "its script printed nothing" for name, key in FIRST.items() if key not in read[name]}
    cpu = values(host.get("cpu", ""))
    begin, end = (_uptime(samples.get(f"uptime {name}", "")) for name in ("before", "after"))
    first, last = (_throttles(samples.get(f"throttled {name}", "")) for name in ("before", "after"))
    memory = pairs(host.get("meminfo", ""), ":")
    page_kib = whole(memory.get("Hugepagesize", "").removesuffix("kB"), 0)
    irqs = values(host.get("affinities", ""))
    root = host.get("user", "").strip() == "0"
    return Live(
        missing=silent | dict(missing),
        root=root,
        seconds=max(0.0, end - begin),
        before=parse_interrupts(samples.get("interrupts before", "")),
        after=parse_interrupts(samples.get("interrupts after", "")),
        throttled=last,
        throttling={number: count - first.get(number, count) for number, count in last.items()},
        kernel=host.get("kernel", "").strip(),
        grub=_grub(host.get("grub", "")),
        isolated=cpus_of(cpu.get("isolated", "")),
        nohz_full=cpus_of(cpu.get("nohz_full", "")),
        smt=cpu.get("smt/control", ""),
        governors=by_cpu(cpu, "cpufreq/scaling_governor"),
        idle=_idle(cpu),
        latency_us=_limit(host.get("latency", "")),
        resume_us=_resume(cpu),
        page_kib=page_kib,
        mounted=_mounted(host.get("mounts", ""), page_kib),
        default_affinity=mask_cpus(irqs.get("default_smp_affinity", "")),
        affinities=_irqs(irqs, "smp_affinity_list"),
        effective=_irqs(irqs, "effective_affinity_list"),
        irqbalance=_irqbalance(host.get("irqbalance", "")),
        threads=parse_threads(host.get("threads", "")),
        scripts=tuple(whole(said.get("self", ""), 0) for said in (host, samples, switch)),
        guests=parse_guests(host.get("guests", ""), f"{instance.state}/nova/instances/"),
        drivers={path.split("/")[-2]: name for path, name in linked(host.get("drivers", "")).items() if "/" in path},
        overrides=_overrides(host.get("overrides", "")),
        functions=_functions(host.get("functions", "")),
        vfs=parse_vfs(host.get("vfs", "")),
        networking=parse_networking(host.get("networking", "")),
        qemu=_qemu(host.get("qemu", "")),
        switch=parse_switch(switch),
    )


def mask_cpus(text: str) -> tuple[int, ...]:
    """The CPUs of a mask as ``/proc/irq`` writes it: words of 32 bits in hexadecimal, the highest first."""
    text = text.strip()
    if not _MASK.fullmatch(text) or len(text) > 4096:
        return ()
    number = int("".join(word.rjust(8, "0") for word in text.split(",")), 16)
    return tuple(cpu for cpu in range(number.bit_length()) if number >> cpu & 1)


def parse_vfs(text: str) -> dict[str, tuple[Mapping[str, object], ...]]:
    """The virtual functions of each interface in the JSON of ``ip link show``."""
    try:
        links = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(links, list):
        return {}
    return {
        str(link.get("ifname")): tuple(vf for vf in found if isinstance(vf, dict))
        for link in links
        if isinstance(link, dict) and isinstance(found := link.get("vfinfo_list"), list)
    }


def parse_networking(text: str) -> dict[str, frozenset[str]]:
    """What lines of networking's configuration files name: interfaces and addresses of cards, in lower case."""
    found: dict[str, set[str]] = {}
    for line in text.split("\n"):
        path, colon, words = line.partition(":")
        if colon:
            said = re.sub(r"\s#.*", "", words)
            found.setdefault(path, set()).update(
                word.strip("\"':;").lower() for word in re.split(r"[\s=,\[\]{}]+", said)
            )
    return {path: frozenset(words - {""}) for path, words in found.items()}


def _uptime(text: str) -> float:
    match = re.match(r"([0-9]{1,12}\.[0-9]{1,3}) ", text)
    return float(match[1]) if match else 0.0


def _throttles(text: str) -> dict[int, int]:
    """How often each CPU was slowed because it was too hot, its core's and its package's count together."""
    found: dict[int, int] = {}
    read = values(text)
    for end in ("thermal_throttle/core_throttle_count", "thermal_throttle/package_throttle_count"):
        for cpu, count in by_cpu(read, end).items():
            found[cpu] = found.get(cpu, 0) + max(0, whole(count, 0))
    return found


def _grub(lines: str) -> frozenset[str] | None:
    """The words of the kernel lines of the boot loader, of all its entries together."""
    words = frozenset(word for line in lines.split("\n") for word in parse_parameters(line))
    return words or None


def _idle(cpu: Mapping[str, str]) -> dict[int, tuple[Idle, ...]]:
    read: dict[tuple[int, int], dict[str, str]] = {}
    for path, value in cpu.items():
        if match := _STATE.fullmatch(path):
            read.setdefault((int(match[1]), int(match[2])), {})[match[3]] = value
    found: dict[int, list[Idle]] = {}
    for (number, state), keys in sorted(read.items()):
        latency = max(0, whole(keys.get("latency", ""), 0))
        disabled = keys.get("disable", "0") not in ("", "0")
        found.setdefault(number, []).append(Idle(state, keys.get("name", ""), latency, disabled))
    return {number: tuple(states) for number, states in found.items()}


def _limit(text: str) -> int | None:
    return limit if (limit := whole(text, -1)) >= 0 else None


def _resume(cpu: Mapping[str, str]) -> dict[int, int]:
    """What is asked of single CPUs, in µs: ``n/a`` is no sleep at all, 0 that nothing is asked (sysfs-devices-power)."""
    read = by_cpu(cpu, "power/pm_qos_resume_latency_us")
    return {number: max(0, whole(text, 0)) for number, text in read.items() if text != "0"}


def _mounted(mounts: str, default_kib: int) -> tuple[int, ...]:
    """The page sizes of the hugetlbfs mounts; one that names none has the default."""
    found = set()
    for line in mounts.split("\n"):
        if " hugetlbfs " in line:
            match = _PAGE.search(line)
            found.add(int(match[1]) * _UNIT_KIB.get(match[2], 1) // (1 if match[2] else 1024) if match else default_kib)
    return tuple(sorted(found))


def _irqs(read: Mapping[str, str], name: str) -> dict[int, tuple[int, ...]]:
    return {
        int(match[1]): cpus_of(value)
        for path, value in read.items()
        if (match := _IRQ.fullmatch(path)) and match[2] == name
    }


def _irqbalance(text: str) -> Irqbalance | None:
    """It takes the older mask before the list, and an empty one for none (setup_banned_cpus in its cputree.c)."""
    said = pairs(text, "=")
    pid = re.search(r"^pid:([0-9]{1,9})$", text, re.MULTILINE)
    if not pid:
        return None
    told = next((f"{key}={said[key]}" for key in BANNED if said.get(key)), "")
    kept = next((key for key in BANNED if said.get(f"default:{key}")), "")
    unreadable = re.search(r"^unreadable$", text, re.MULTILINE)
    return Irqbalance(int(pid[1]), None if unreadable else told, kept)


def _overrides(text: str) -> dict[str, str]:
    """driverctl's files, ``pci-ADDRESS``, by address."""
    found = {}
    for line in text.split("\n"):
        path, _, driver = line.rpartition(":")
        if (name := path.rpartition("/")[2]).startswith("pci-"):
            found[name.removeprefix("pci-")] = driver.strip()
    return found


def _functions(text: str) -> dict[str, tuple[str, ...]]:
    """The virtual functions of each physical one, by address."""
    found: dict[str, list[str]] = {}
    for path, target in linked(text).items():
        parts = path.split("/")
        if len(parts) > 1:
            found.setdefault(parts[-2], []).append(target)
    return {address: tuple(sorted(functions)) for address, functions in found.items()}


def _qemu(text: str) -> tuple[int, ...]:
    match = _QEMU.search(text)
    return tuple(int(number or 0) for number in match.groups()) if match else ()
