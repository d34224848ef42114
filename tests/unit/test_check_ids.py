"""Ids of checks are stable: in every ``--json``, in the documents, and in scripts of users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ouchi.checks import servers, traffic
from ouchi.checks.model import Check
from ouchi.checks.registry import CHECKS

UP_CHECKS = [one for module in (servers, traffic) for one in vars(module).values() if isinstance(one, Check)]
EVERY = (*CHECKS, *UP_CHECKS)
DOCUMENT = Path(__file__).parents[2] / "docs" / "doctor.md"

GIVEN = [
    "kernel.clocksource",
    "kernel.isolation",
    "kernel.nohz-full",
    "kernel.numa-balancing",
    "kernel.parameters",
    "kernel.reboot-pending",
    "kernel.watchdog",
    "kernel.workqueues",
    "memory.default-size",
    "memory.hugepages",
    "memory.hugepages-at-boot",
    "memory.hugetlbfs",
    "cpus.clock-limit",
    "cpus.governor",
    "cpus.idle-states",
    "cpus.online",
    "cpus.other-threads",
    "cpus.realtime",
    "cpus.run-delay",
    "cpus.steal",
    "cpus.throttling",
    "cpus.whole-cores",
    "interrupts.affinity",
    "interrupts.default-affinity",
    "interrupts.irqbalance",
    "interrupts.kernel",
    "interrupts.received",
    "ovs.bridges",
    "ovs.connections",
    "ovs.datapath-drops",
    "ovs.dpdk-build",
    "ovs.dpdk-initialized",
    "ovs.flow-control",
    "ovs.guest-connections",
    "ovs.harmful-settings",
    "ovs.idle-pmd",
    "ovs.kernel-ports",
    "ovs.mempools",
    "ovs.mtu",
    "ovs.packet-sockets",
    "ovs.pinned-queues",
    "ovs.pmd-load",
    "ovs.pmd-placement",
    "ovs.port-drops",
    "ovs.ports",
    "ovs.queue-node",
    "ovs.queue-placement",
    "ovs.queues-polled",
    "ovs.running",
    "ovs.settings",
    "ovs.socket-folder",
    "ovs.thread-placement",
    "ovs.virtqueues",
    "guests.emulator-placement",
    "guests.interfaces",
    "guests.memory",
    "guests.running",
    "guests.vcpu-placement",
    "nics.driver",
    "nics.driver-files",
    "nics.iommu-group",
    "nics.link",
    "nics.network-configuration",
    "nics.pcie-link",
    "nics.use",
    "nics.vfs",
    "versions.dpdk",
    "versions.kernel",
    "versions.nic-firmware",
    "versions.qemu",
    "wire.frames",
    "servers.active",
    "servers.flavor",
    "servers.port-binding",
    "traffic.ping",
    "traffic.vlans",
]
"""Every id that a release has had. A new check is added here; none is removed or renamed."""


def test_no_id_disappears() -> None:
    ids = [check.id for check in EVERY]
    assert sorted(ids) == sorted(set(ids))
    assert set(ids) == set(GIVEN)


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.id)
def test_a_check_has_a_file_of_its_subject(check: Check) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", check.id)
    module = check.evaluate.__module__.split(".")
    assert module[:2] == ["ouchi", "checks"]
    assert module[2] == check.id.partition(".")[0]


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Id, level, title and reason in the tables of the document."""
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and re.fullmatch(r"`[a-z]+\.[a-z-]+`", cells[0]):
            yield cells[0].strip("`"), cells[1], cells[2], cells[3]


def test_the_document_has_every_check() -> None:
    assert [row[:3] for row in rows()] == [(check.id, str(check.level), check.title) for check in EVERY]
    assert all(why for *_, why in rows())
