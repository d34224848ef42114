"""Nothing is sent to a port that another user has taken."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from requests import Session

from ouchi.clients.listener import OwnListeners
from ouchi.clients.openstack import Access, Cloud
from ouchi.core.errors import Failed
from ouchi.machine.listeners import peer_uid

NOBODY = 65534
SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
server.settimeout(20)
other, _ = server.accept()
server.close()  # it leaves no listener to look at
other.settimeout(1)
try:
    print("got", other.recv(1000), flush=True)
except TimeoutError:
    print("got nothing", flush=True)
"""


@contextmanager
def listener(*before: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    with subprocess.Popen([*before, sys.executable, "-I", "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield int(process.stdout.readline()), process
        process.kill()


def test_the_owner_of_the_other_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        other, _ = server.accept()
        with other:
            assert peer_uid(client) == os.geteuid()


def test_an_own_program_is_asked() -> None:
    with listener() as (port, process), Session() as session:
        session.mount("http://", OwnListeners())
        with contextlib.suppress(OSError):  # it answers nothing
            session.get(f"http://127.0.0.1:{port}/", timeout=5)
        assert process.stdout
        assert "GET /" in process.stdout.readline()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_password_is_not_sent_to_another_user() -> None:
    with listener("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") as (port, process):
        cloud = Cloud(Access({"keystone": f"http://127.0.0.1:{port}/v3"}, "the password"), 5)
        with pytest.raises(Failed, match="was sent nothing") as refused:
            cloud.authenticate()
        assert refused.value.findings[0].found == f"a program of user id {NOBODY}"
        assert process.stdout
        assert "password" not in process.stdout.readline()
