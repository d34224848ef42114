"""The guest that shows whether KVM works, under emulation, which is everywhere."""

from __future__ import annotations

from pathlib import Path

from ouchi.core.instance import Instance
from ouchi.live import kvm
from ouchi.machine.local import LocalMachine


def test_the_probes_guest_boots_and_reports_it(tmp_path: Path) -> None:
    found = kvm.boots(LocalMachine(), Instance("test", run=str(tmp_path)), kvm.QEMU, "tcg", seconds=60)
    assert found.status == kvm.SUCCESS, found.stderr
    assert list(tmp_path.iterdir()) == []
