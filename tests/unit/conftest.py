"""What several unit tests share: a measured run, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ouchi.measure.runs.folder import read_run
from ouchi.measure.runs.model import Run
from ouchi.measure.search.goals import NDR, PDR, RFC2544
from tests.runs import MACHINE, write_run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("runs") / "run"
    write_run(found, sizes=("64", "imix"), goals=(NDR, PDR, RFC2544), fault="stalled")
    return found


@pytest.fixture(scope="session")
def run(folder: Path) -> Run:
    return read_run(MACHINE, folder)
