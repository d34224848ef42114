"""Hugepages: the planned number and size on each NUMA node, mounted."""

from __future__ import annotations

from ouchi.checks.model import Level, Observation, Seen, check, judge, ok, unknown
from ouchi.checks.remedies import APPLY_REBOOT, UP
from ouchi.core.errors import Finding, error, info, warning
from ouchi.facts import Facts
from ouchi.facts.reading import whole
from ouchi.live.cmdline import key_of, kib_of, value_of
from ouchi.live.host import MACHINE, Live
from ouchi.plan import HugepageNeed
from ouchi.plan.target import Target
from ouchi.steps.hugepages import RUN_TIME_KIB, counter


@check("memory.hugepages", Level.PLACED, "each NUMA node has the planned hugepages", MACHINE)
def hugepages(live: Live, target: Target) -> Observation:
    """Compare each node's hugepages of the planned size with the plan."""
    problems = []
    seen = []
    for need in target.plan.hugepages:
        total, free = live.hugepages.get((need.node, need.size_kib), (0, 0))
        seen.append(f"node {need.node}: {total} of {size_text(need.size_kib)}, {free} free")
        if total < need.count:
            problems.append(_too_few(live, target.facts, need))
    return judge(problems, "; ".join(seen))


@check("memory.hugepages-at-boot", Level.LOSS, "hugepages are reserved at boot")
def hugepages_at_boot(_live: Live, target: Target) -> Seen | None:
    """Look for the planned size on the kernel command line: at boot memory is not fragmented yet."""
    planned = [word for word in target.plan.kernel_args if word.startswith("hugepages=")]
    if not planned:
        return None
    if pages_at_boot(target.facts, target.plan.hugepages[0].size_kib) is not None:
        return ok(" ".join(word for word in target.facts.boot.parameters if "hugepages" in word))
    return info(
        "hugepages are reserved at run time, not at boot",
        where="/proc/cmdline",
        found="no hugepages= for this size",
        expected=planned[0],
        remedy=APPLY_REBOOT,
        why="after some days memory may be too fragmented for them, and the next ouchi up fails",
    )


@check("memory.hugetlbfs", Level.RUNNING, "a hugetlbfs is mounted for the planned page size", MACHINE)
def hugetlbfs(live: Live, target: Target) -> Observation | None:
    """Look for a hugetlbfs of each planned size: QEMU maps guests' memory through one."""
    sizes = sorted({need.size_kib for need in target.plan.hugepages})
    if not sizes:
        return None
    problems = [
        error(
            f"no hugetlbfs is mounted for pages of {size_text(size)}",
            where="/proc/mounts",
            found=", ".join(size_text(one) for one in live.mounted) or "no hugetlbfs at all",
            expected=f"one with pagesize={size // 1024}M",
            remedy=UP,
            why="OVS and the guests share memory as files there: without it a guest has no network, and only a mount "
            "of the default size exists by default",
        )
        for size in sizes
        if size not in live.mounted
    ]
    return judge(problems, ", ".join(size_text(size) for size in live.mounted))


@check("memory.default-size", Level.LOSS, "hugepages have the planned default size", MACHINE)
def default_size(live: Live, target: Target) -> Seen | None:
    """Compare the default hugepage size with the plan."""
    planned = kib_of(value_of(target.plan.kernel_args, "default_hugepagesz") or "")
    if not planned:
        return None
    if not live.page_kib:
        return unknown("/proc/meminfo has no Hugepagesize")
    if live.page_kib == planned:
        return ok(size_text(live.page_kib))
    return warning(
        "the default hugepage size is not as planned",
        where="/proc/meminfo",
        found=size_text(live.page_kib),
        expected=size_text(planned),
        remedy=APPLY_REBOOT,
        why="a program that requests pages without a size gets the default one, of which none are reserved",
    )


def size_text(kib: int) -> str:
    """Return ``2 MiB``, ``1 GiB``."""
    return f"{kib // (1024 * 1024)} GiB" if kib >= 1024 * 1024 else f"{kib // 1024} MiB"


def pages_at_boot(facts: Facts, size_kib: int) -> int | None:
    """Return how many pages of a size the kernel command line requests on all nodes together; None without a request.

    ``hugepages=`` is for the size that the ``hugepagesz=`` before it names, else for the default one (``0:512,1:512``
    for each node; Documentation/admin-guide/kernel-parameters.txt).
    """
    size = kib_of(value_of(facts.boot.parameters, "default_hugepagesz") or "") or RUN_TIME_KIB
    count: int | None = None
    for word in facts.boot.parameters:
        value = word.partition("=")[2]
        if key_of(word) == "hugepagesz":
            size = kib_of(value)
        elif key_of(word) == "hugepages" and size == size_kib:
            count = sum(max(0, whole(part.rpartition(":")[2], 0)) for part in value.split(","))
    return count


def _too_few(live: Live, facts: Facts, need: HugepageNeed) -> Finding:
    total, free = live.hugepages.get((need.node, need.size_kib), (0, 0))
    requested = pages_at_boot(facts, need.size_kib)
    reserved = sum(pages for (_node, size), (pages, _free) in live.hugepages.items() if size == need.size_kib)
    short = requested is not None and reserved < requested
    return error(
        f"node {need.node} has too few hugepages of {size_text(need.size_kib)}"
        + (": the kernel reserved fewer than its command line requests" if short else ""),
        where=counter(need.node, need.size_kib),
        found=f"{total}, {free} of them free"
        + (f"; {requested} requested at boot, {reserved} reserved" if short else ""),
        expected=f"{need.count}",
        remedy=APPLY_REBOOT if need.size_kib > RUN_TIME_KIB else UP,
        why="OVS-DPDK's mbufs and the guests' memory are hugepages: with too few, OVS allocates half as many mbufs "
        "without an error, or guests do not start",
    )
