"""The rig: from its saved state to ssh, and cold boots."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory  # noqa: TID251  # the measurement's own files, not the host's

from benchmarks.cycle import Notify, Record
from ouchi.machine.local import LocalMachine
from ouchi.rig.base import prepare
from ouchi.rig.paths import rig_paths
from ouchi.rig.rig import Rig

LOADS, BOOTS = 10, 20


def measure_rig(record: Record, say: Notify) -> None:
    """Load the base state, then boot from the disk again and again. Raises :class:`~ouchi.core.errors.Failed`.

    A boot that had to be tried again counts as a fault, and with the time of all its attempts.
    """
    machine = LocalMachine()
    parts = prepare(machine, rig_paths(os.environ).cache, say)
    with TemporaryDirectory(prefix="ouchi-rig-") as folder, Rig(machine, parts, Path(folder)) as rig:
        for _ in range(LOADS):
            record.add("rig-up", _seconds(rig.up))
        say(f"the rig from its base state: {LOADS} runs")
        for number in range(BOOTS):
            faults = len(rig.faults)
            record.add("rig-boot", _seconds(rig.boot))
            record.add("rig-fault", len(rig.faults) - faults)
            say(f"cold boot {number + 1} of {BOOTS}, {len(rig.faults)} faults so far")
    record.remarks.append("The rig's CPUs are emulated (TCG)" if not parts.kvm else "The rig's CPUs are real (KVM)")


def _seconds(act: Callable[[], None]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin
