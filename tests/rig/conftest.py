"""What the tests on a rig share: one rig for a module, from the base state."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ouchi.machine.local import LocalMachine
from ouchi.rig.base import prepare, unused_of
from ouchi.rig.hardware import Shape

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "real")]

from guardian import locked  # noqa: E402  # beside the other real tests
from practice import PracticeRig  # noqa: E402

STORE = Path("/var/cache/ouchi-tests/rig")
"""Kept between runs (some 2 GB): the first test that needs it makes it, in some two minutes."""
UNUSED_SECONDS = 2 * 86400.0
"""What other versions made is kept that long: branches share the store."""
LOCK_SECONDS = 3600


@pytest.fixture(scope="module")
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeRig]:
    """A rig that is up and unchanged, with the NUMA nodes of the module's ``SHAPE``, else with one.

    Its faults, tried again by itself, are printed at the end.
    """
    if os.geteuid() != 0:
        pytest.skip("the rig's tools are installed and kept for all tests by root")
    machine = LocalMachine()
    STORE.parent.mkdir(parents=True, exist_ok=True)
    # One at a time: each has twelve emulated CPUs.
    with locked(f"{STORE}.lock", LOCK_SECONDS):
        shape = getattr(request.module, "SHAPE", Shape.ONE_NODE)
        parts = prepare(machine, STORE, lambda text: print(f"rig: {text}"), shape)
        os.utime(parts.base.parent)
        for name in unused_of(machine, STORE):
            if time.time() - (STORE / name).stat().st_mtime > UNUSED_SECONDS:
                machine.remove(STORE / name)
        folder = tmp_path_factory.mktemp("rig")
        with PracticeRig(machine, parts, folder, lambda text: print(f"rig: {text}")) as one:
            one.up()
            yield one
            print(f"rig: {len(one.faults)} faults", *one.faults, sep="\n")
        (folder / "disk.qcow2").unlink(missing_ok=True)  # gigabytes, where pytest keeps the folders of three runs
