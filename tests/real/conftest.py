"""What the real tests share: the lab of :mod:`lab`, and hosts by ssh of :mod:`sshd`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab import Lab
from sshd import Sshd

from ouchi.machine import Machine
from ouchi.machine.local import LocalMachine
from ouchi.machine.ssh.machine import SshMachine


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab for all tests of a module."""
    if os.geteuid() != 0:
        pytest.skip("namespaces and hugepages need root")
    with Lab(tmp_path_factory.mktemp("machine")) as found:
        yield found


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """An sshd for all tests of a module."""
    with Sshd() as found:
        yield found


@pytest.fixture
def remote(server: Sshd) -> Iterator[SshMachine]:
    """This machine by ssh."""
    with SshMachine(server.address, server.config) as machine:
        yield machine


@pytest.fixture(params=["local", "ssh"])
def machine(request: pytest.FixtureRequest, server: Sshd) -> Iterator[Machine]:
    """This machine as it is, and by ssh."""
    if request.param == "local":
        yield LocalMachine()
        return
    with SshMachine(server.address, server.config) as found:
        yield found
