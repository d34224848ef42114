"""What the tests on a rig share: one rig for a module, from the base state."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ouchi.machine.local import LocalMachine
from ouchi.rig.base import prepare
from ouchi.rig.hardware import Shape

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "real")]

from guardian import locked  # noqa: E402  # beside the other real tests
from practice import PracticeRig  # noqa: E402

STORE = Path("/var/cache/ouchi-tests/rig")
"""Kept between runs (1 GB): the first test that needs it makes it, in some two minutes."""
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
        folder = tmp_path_factory.mktemp("rig")
        with PracticeRig(machine, parts, folder, lambda text: print(f"rig: {text}")) as one:
            one.up()
            yield one
            print(f"rig: {len(one.faults)} faults", *one.faults, sep="\n")
        (folder / "disk.qcow2").unlink(missing_ok=True)  # gigabytes, where pytest keeps the folders of three runs
