"""Hugepages: as many on each node as the plan has, of its size, and mounted."""

from __future__ import annotations

from ouchi.checks.remedies import APPLY_RESTART, UP
from ouchi.checks.values import Answer, Check, holds, judged, unknown, wrong
from ouchi.core.errors import Finding, error, info, warning
from ouchi.facts import Facts, HugepagePool
from ouchi.live.cmdline import key_of, kib_of, value_of
from ouchi.live.host import MACHINE, Live
from ouchi.plan import HugepageNeed
from ouchi.plan.target import Target
from ouchi.steps.hugepages import RUN_TIME_KIB, counter

NO_BUFFERS = (
    "OVS-DPDK's packet buffers and the guests' memory are hugepages: with too few, OVS takes half as many buffers "
    "without a word, or guests do not start"
)


def pages(_live: Live, target: Target) -> Answer:
    """Each node's pages of the planned size."""
    troubles = []
    seen = []
    for need in target.plan.hugepages:
        pool = _pool(target.facts, need)
        have, free = (pool.total, pool.free) if pool else (0, 0)
        seen.append(f"node {need.node}: {have} of {size_text(need.size_kib)}, {free} free")
        if have < need.count:
            troubles.append(_too_few(target.facts, need, have, free))
    return judged(troubles, "; ".join(seen))


def at_boot(_live: Live, target: Target) -> Answer | None:
    """Whether the pages are set aside when the kernel starts, where memory is not in pieces yet."""
    planned = [word for word in target.plan.kernel_args if word.startswith("hugepages=")]
    if not planned:
        return None
    if asked_pages(target.facts, target.plan.hugepages[0].size_kib) is not None:
        return holds(" ".join(word for word in target.facts.boot.parameters if "hugepages" in word))
    return wrong(
        info(
            "hugepages are set aside while the machine runs, not when it starts",
            where="/proc/cmdline",
            found="no hugepages= for this size",
            expected=planned[0],
            remedy=APPLY_RESTART,
            why="after some days the kernel may not find so much memory in one piece, and the next start of the host fails",
        )
    )


def mounts(live: Live, target: Target) -> Answer | None:
    """A hugetlbfs for every planned size: QEMU maps guests' memory through one."""
    sizes = sorted({need.size_kib for need in target.plan.hugepages})
    if not sizes:
        return None
    troubles = [
        error(
            f"no hugetlbfs is mounted for pages of {size_text(size)}",
            where="/proc/mounts",
            found=", ".join(size_text(one) for one in live.mounted) or "no hugetlbfs at all",
            expected=f"one with pagesize={size // 1024}M",
            remedy=UP,
            why="OVS and the guests share packet buffers as files there: without it a guest has no network, and "
            "only pages of the default size are mounted by themselves",
        )
        for size in sizes
        if size not in live.mounted
    ]
    return judged(troubles, ", ".join(size_text(size) for size in live.mounted))


def default_size(live: Live, target: Target) -> Answer | None:
    """The size that programs get which ask for none."""
    planned = kib_of(value_of(target.plan.kernel_args, "default_hugepagesz") or "")
    if not planned:
        return None
    if not live.page_kib:
        return unknown("/proc/meminfo has no Hugepagesize")
    if live.page_kib == planned:
        return holds(size_text(live.page_kib))
    return wrong(
        warning(
            "hugepages have another default size than planned",
            where="/proc/meminfo",
            found=size_text(live.page_kib),
            expected=size_text(planned),
            remedy=APPLY_RESTART,
            why="a program that asks for pages without saying which takes the wrong ones, and finds none",
        )
    )


CHECKS = (
    Check("memory", "each node has the planned hugepages", pages, ()),
    Check("memory", "hugepages are set aside at boot", at_boot, ()),
    Check("memory", "a hugetlbfs is mounted for hugepages of the planned size", mounts, (MACHINE,)),
    Check("memory", "hugepages have the planned default size", default_size, (MACHINE,)),
)


def size_text(kib: int) -> str:
    """``2 MiB``, ``1 GiB``."""
    return f"{kib // (1024 * 1024)} GiB" if kib >= 1024 * 1024 else f"{kib // 1024} MiB"


def asked_pages(facts: Facts, size_kib: int) -> int | None:
    """How many pages of a size the command line asks for on all nodes together; None when it does not.

    ``hugepages=`` is for the size that the ``hugepagesz=`` before it names, else for the default one (``0:512,1:512``
    node by node; Documentation/admin-guide/kernel-parameters.txt).
    """
    size = kib_of(value_of(facts.boot.parameters, "default_hugepagesz") or "") or RUN_TIME_KIB
    count: int | None = None
    for word in facts.boot.parameters:
        value = word.partition("=")[2]
        if key_of(word) == "hugepagesz":
            size = kib_of(value)
        elif key_of(word) == "hugepages" and size == size_kib:
            numbers = [part.rpartition(":")[2] for part in value.split(",")]
            count = sum(int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) < 9)
    return count


def _pool(facts: Facts, need: HugepageNeed) -> HugepagePool | None:
    node = next((node for node in facts.memory if node.node == need.node), None)
    return node.pool(need.size_kib) if node else None


def _too_few(facts: Facts, need: HugepageNeed, have: int, free: int) -> Finding:
    asked = asked_pages(facts, need.size_kib)
    got = sum(pool.total for node in facts.memory if (pool := node.pool(need.size_kib)))
    short = asked is not None and got < asked
    at_start = need.size_kib > RUN_TIME_KIB
    return error(
        f"node {need.node} has too few hugepages of {size_text(need.size_kib)}"
        + (": the kernel found less memory than its command line asks for" if short else ""),
        where=counter(need.node, need.size_kib),
        found=f"{have}, {free} of them free" + (f"; {asked} asked for at boot, {got} found" if short else ""),
        expected=f"{need.count}",
        remedy=APPLY_RESTART if at_start else UP,
        why=NO_BUFFERS,
    )
