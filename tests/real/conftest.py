"""What the real tests share: the lab of :mod:`lab`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab for all tests of a module."""
    if os.geteuid() != 0:
        pytest.skip("namespaces and hugepages need root")
    with Lab(tmp_path_factory.mktemp("machine")) as found:
        yield found
