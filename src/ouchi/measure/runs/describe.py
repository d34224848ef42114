"""What a run says of itself: labels, host, versions and settings of everything that matters."""

from __future__ import annotations

import platform
from datetime import UTC, datetime

from ouchi import __version__
from ouchi.core.instance import Instance
from ouchi.facts import Facts
from ouchi.machine import Machine
from ouchi.measure.paths.open import NAP, Setup
from ouchi.measure.paths.path import RING
from ouchi.measure.request import Wish
from ouchi.measure.runs.model import About
from ouchi.plan import Plan
from ouchi.plan.pools import OVERLAPPED


def describe(machine: Machine, instance: Instance, facts: Facts, plan: Plan, wish: Wish, *, emulated: bool) -> About:
    """The beginning of a run. ``emulated``: virtual machines run without KVM here."""
    servers = bool(machine.entries(instance.vhost))
    setup = wish.setup(plan, servers=servers)
    sockets = setup.path.switched and not (setup.path.wired and not setup.path.guests)
    return About(
        name=f"{wish.path.name} on {facts.system.hostname}",
        began=now(),
        path=wish.path.name,
        what=wish.to_json(),
        labels=labels(facts, plan, setup, servers=servers, emulated=emulated),
        host={
            "processor": facts.processor.model,
            "cores": len({(cpu.package, cpu.core) for cpu in facts.cpus if cpu.online}),
            "distribution": facts.system.distribution.pretty,
            "virtual": facts.system.virtual or "no",
        },
        versions={
            "ouchi": __version__,
            "DPDK (generator)": machine.run(("pkg-config", "--modversion", "libdpdk")).stdout.strip(),
            "Open vSwitch": facts.ovs_version or "-",
            "kernel": platform.release(),
        },
        settings={
            "PMD CPUs": list(plan.pools.pmd) if setup.path.switched else [],
            "generator's CPUs": list(setup.cpus.workers),
            **({"guests' CPUs": list(setup.cpus.guests)} if setup.path.guests else {}),
            **({"generator sleeps when nothing is due": f"{NAP * 1e6:g} µs"} if setup.cpus.shared else {}),
            **({"virtqueues": f"{RING} descriptors, packed but for virtual machines"} if sockets else {}),
            **(
                {"generator goes first on its CPU": "SCHED_FIFO, where the kernel lets it"} if setup.cpus.urgent else {}
            ),
            "MTU": setup.mtu,
            "hugepages": f"{plan.hugepages[0].size_kib} KiB",
            "frames are switched by": _switching(setup),
        },
    )


def labels(facts: Facts, plan: Plan, setup: Setup, *, servers: bool, emulated: bool) -> tuple[str, ...]:
    """What must stand beside every figure of a run. ``servers``: those of the site run meanwhile."""
    said = []
    if plan.overlapped:
        said.append(OVERLAPPED)
    if facts.system.virtual:
        said.append("shared machine: its CPUs are virtual")
    if setup.path.guests and setup.cpus.shared:
        said.append("shared cores: the generator and the guests have too few CPUs for one each")
    if setup.path.guests and setup.guest == "vm" and emulated:
        said.append("emulated guests (TCG): figures are not meaningful as performance")
    if servers:
        said.append("the site's servers run at the same time, on the CPUs that the generator has too")
    return tuple(said)


def _switching(setup: Setup) -> str:
    if not setup.path.switched:
        return {"ring": "nobody", "kernel": "the kernel's bridge, by addresses learnt"}[setup.path.carrier]
    back = len(setup.path.generator_ports) == 1
    return "a rule that sends them back (in_port)" if back else "addresses learnt (NORMAL)"


def now() -> str:
    """The time, with its zone, to a second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
