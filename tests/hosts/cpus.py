"""CPUs and their caches as sysfs and cpuinfo show them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from ouchi.core.cpulist import format_cpus
from tests.hosts.description import Host
from tests.hosts.numbering import Position, positions, shared
from tests.hosts.tree import Tree

ROOT = "/sys/devices/system/cpu"

SHARED: dict[str, Callable[[Position], Hashable]] = {
    "core_cpus": lambda position: position.siblings,
    "thread_siblings": lambda position: position.siblings,
    "cluster_cpus": lambda position: position.l2,
    "die_cpus": lambda position: (position.package, position.run.die),
    "package_cpus": lambda position: position.package,
    "core_siblings": lambda position: position.package,
}
"""The bitmaps in a CPU's topology folder, and what the CPUs in each have in common with it."""

X86_FLAGS = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx "
    "pdpe1gb rdtscp lm constant_tsc rep_good nopl xtopology nonstop_tsc cpuid aperfmperf pni pclmulqdq ssse3 fma cx16 "
    "sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand lahf_lm abm 3dnowprefetch fsgsbase bmi1 avx2 smep bmi2 erms "
    "rdseed adx smap clflushopt sha_ni xsaveopt xsavec xgetbv1 arat umip rdpid"
)
ARM_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs"


def put_cpus(tree: Tree, host: Host) -> None:
    """Everything below ``/sys/devices/system/cpu``, and ``/proc/cpuinfo``."""
    cpus = positions(host)
    online = [position.cpu for position in cpus if position.online]
    _summary(tree, host, cpus, online)
    alike = {name: shared(cpus, key) for name, key in SHARED.items()}
    l3 = shared(cpus, lambda position: position.run.l3)
    for position in cpus:
        folder = f"{ROOT}/cpu{position.cpu}"
        tree.point(f"{folder}/node{position.run.node}", f"/sys/devices/system/node/node{position.run.node}")
        if position.cpu or host.architecture != "x86_64":
            tree.put(f"{folder}/online", str(int(position.online)))
        if host.architecture == "aarch64":
            tree.put(f"{folder}/cpu_capacity", "1024")
        if position.online:
            _topology(tree, folder, position, alike, len(cpus))
            _caches(tree, folder, host, position, (alike["cluster_cpus"][position.l2], l3[position.run.l3]), len(cpus))
            _power(tree, folder, host, position)
    _hybrid(tree, cpus)
    tree.put("/proc/cpuinfo", _x86_info(host, cpus) if host.architecture == "x86_64" else _arm_info(cpus))


def mask(cpus: tuple[int, ...], bits: int) -> str:
    """CPUs as the kernel prints a bitmap: words of 32 bits, the highest first, only as many digits as bits need."""
    number = sum(1 << cpu for cpu in cpus)
    words = []
    for low in reversed(range(0, bits, 32)):
        digits = (min(32, bits - low) + 3) // 4
        words.append(f"{number >> low & 0xFFFFFFFF:0{digits}x}")
    return ",".join(words)


def _summary(tree: Tree, host: Host, cpus: tuple[Position, ...], online: list[int]) -> None:
    everything = f"0-{len(cpus) - 1}" if len(cpus) > 1 else "0"
    tree.put_all(
        ROOT,
        {
            "present": everything,
            "possible": everything,
            "online": format_cpus(online),
            "offline": format_cpus(host.offline) + "\n",
            "isolated": host.isolated + "\n",
            "kernel_max": 8191,
            "smt/active": int(any(len(position.siblings) > 1 for position in cpus)),
            "smt/control": "on" if any(run.threads > 1 for run in host.cores) else "notsupported",
            "cpuidle/current_driver": _idle_driver(host),
            "cpuidle/current_governor": "menu",
        },
    )


def _topology(
    tree: Tree, folder: str, position: Position, alike: dict[str, dict[Hashable, tuple[int, ...]]], bits: int
) -> None:
    for name, key in SHARED.items():
        group = alike[name][key(position)]
        tree.put(f"{folder}/topology/{name}", mask(group, bits))
        tree.put(f"{folder}/topology/{name}_list", format_cpus(group))
    numbers = {"core_id": position.core_id, "physical_package_id": position.package, "die_id": position.run.die}
    tree.put_all(f"{folder}/topology", numbers | {"cluster_id": alike["cluster_cpus"][position.l2][0]})


def _caches(
    tree: Tree, folder: str, host: Host, position: Position, groups: tuple[tuple[int, ...], tuple[int, ...]], bits: int
) -> None:
    shown = [
        ("1", "Data", 32, position.siblings),
        ("1", "Instruction", 32, position.siblings),
        ("2", "Unified", position.run.l2_kib, groups[0]),
    ]
    if position.run.l3 >= 0:
        shown.append(("3", "Unified", host.l3_kib[position.run.l3], groups[1]))
    for index, (level, kind, kib, cpus) in enumerate(shown):
        files: dict[str, str | int] = {
            "level": level,
            "type": kind,
            "size": f"{kib}K",
            "coherency_line_size": 64,
            "id": cpus[0],
        }
        files |= {"shared_cpu_list": format_cpus(cpus), "shared_cpu_map": mask(cpus, bits)}
        tree.put_all(f"{folder}/cache/index{index}", files)


def _power(tree: Tree, folder: str, host: Host, position: Position) -> None:
    processor = host.processor
    if position.run.max_khz:
        policy = f"{ROOT}/cpufreq/policy{position.cpu}"
        tree.point(f"{folder}/cpufreq", policy)
        files: dict[str, str | int] = {
            "cpuinfo_max_freq": position.run.max_khz,
            "cpuinfo_min_freq": 800000,
            "scaling_max_freq": position.run.max_khz,
            "scaling_min_freq": 800000,
            "related_cpus": position.cpu,
            "affected_cpus": position.cpu,
        }
        if processor.governor:
            files |= {"scaling_governor": processor.governor, "scaling_driver": processor.scaling}
        tree.put_all(policy, files)
    for state, (name, latency) in enumerate(processor.idle):
        files = {"name": name, "desc": name, "latency": latency, "residency": latency * 3, "disable": 0, "usage": 0}
        tree.put_all(f"{folder}/cpuidle/state{state}", files)


def _hybrid(tree: Tree, cpus: tuple[Position, ...]) -> None:
    """The performance counters of each kind of core say which CPUs are of it."""
    kinds = shared(cpus, lambda position: position.run.kind)
    for kind, name in (("performance", "cpu_core"), ("efficient", "cpu_atom")):
        if kind in kinds and len(kinds) > 1:
            tree.put(f"/sys/devices/{name}/cpus", format_cpus(kinds[kind]))
            tree.point(f"/sys/bus/event_source/devices/{name}", f"/sys/devices/{name}")


def _idle_driver(host: Host) -> str:
    if not host.processor.idle:
        return "none"
    return "intel_idle" if host.processor.vendor == "GenuineIntel" else "acpi_idle"


def _x86_info(host: Host, cpus: tuple[Position, ...]) -> str:
    processor = host.processor
    words = [processor.virtualisation] if processor.virtualisation else []
    words += ["hypervisor"] if host.virtual else []
    packages = shared(cpus, lambda position: position.package)
    blocks = []
    for position in cpus:
        if not position.online:
            continue
        cores = {other.siblings for other in cpus if other.online and other.package == position.package}
        lines = {
            "processor": position.cpu,
            "vendor_id": processor.vendor,
            "cpu family": processor.family,
            "model": processor.number,
            "model name": processor.model,
            "stepping": processor.stepping,
            "microcode": "0x1",
            "cpu MHz": f"{processor.mhz}.000",
            "cache size": f"{host.l3_kib[position.run.l3] if position.run.l3 >= 0 else position.run.l2_kib} KB",
            "physical id": position.package,
            "siblings": len(packages[position.package]),
            "core id": position.core_id,
            "cpu cores": len(cores),
            "apicid": position.cpu,
            "initial apicid": position.cpu,
            "fpu": "yes",
            "fpu_exception": "yes",
            "cpuid level": 16,
            "wp": "yes",
            "flags": " ".join([X86_FLAGS, *words]),
            "bugs": "spectre_v1 spectre_v2 spec_store_bypass",
            "bogomips": f"{processor.mhz * 2}.00",
            "clflush size": 64,
            "cache_alignment": 64,
            "address sizes": "48 bits physical, 48 bits virtual",
            "power management": "",
        }
        blocks.append("".join(_line(key, str(value)) for key, value in lines.items()))
    return "\n".join(blocks) + "\n"


def _line(key: str, value: str) -> str:
    tabs = "\t" * max(1, 2 - len(key) // 8)
    return f"{key}{tabs}:{' ' + value if value else ''}\n"


def _arm_info(cpus: tuple[Position, ...]) -> str:
    return "".join(
        f"processor\t: {position.cpu}\nBogoMIPS\t: 50.00\nFeatures\t: {ARM_FEATURES}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n"
        for position in cpus
        if position.online
    )
