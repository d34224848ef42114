"""A part is one file: a toy part, added as such, is seen by every command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import Lab, difference

TOY = '''
"""A toy: a program that listens on a port and writes its secret's length into its log."""

from ouchi.parts.daemon import Daemon, File
from ouchi.parts.part import PLAN, Listener
from ouchi.parts.supervise import Service

PROGRAM = """
import pathlib, socket, sys
secret = pathlib.Path(sys.argv[1]).read_text()
print(f"toy listens; its secret has {len(secret)} characters", flush=True)
socket.create_server(("127.0.0.1", 7070)).accept()
"""


class Toy(Daemon):
    name = "toy"
    stage = "host"
    needs = (PLAN,)
    on = "controller"
    ports = (Listener("toy", 7070, "toyd"),)
    secrets = ("toy",)
    service_names = ("toyd",)

    def files(self, at):
        return {"toy/secret": File(at.settings.secrets["toy"]), "toy/program.py": File(PROGRAM)}

    def services(self, at):
        argv = ("/usr/bin/python3", at.path("toy/program.py"), at.path("toy/secret"))
        return [Service("toyd", argv, at.instance.environment)]


PARTS = (Toy(),)
'''

# ouchi with one more folder in its parts' path, as if the file had been added there.
WITH_TOY = (
    "import sys, ouchi.parts; ouchi.parts.__path__.append('{folder}'); from ouchi.cli import main; sys.exit(main())"
)


@pytest.fixture(scope="module")
def folder(lab: Lab) -> Path:
    """The folder with the toy part, inside the lab."""
    location = lab.home / "more-parts"
    location.mkdir()
    (location / "toy.py").write_text(TOY)
    return location


def ouchi(lab: Lab, folder: Path, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return lab.run([sys.executable, "-c", WITH_TOY.format(folder=folder), *words], timeout=timeout, check=False)


@contextmanager
def listener(lab: Lab) -> Iterator[None]:
    """Another program on the toy's port."""
    program = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 7070)); print('up', flush=True); time.sleep(60)"
    )
    other = lab.start_program([sys.executable, "-c", program])
    assert other.stdout is not None
    other.stdout.readline()
    try:
        yield
    finally:
        lab.signal(other, signal.SIGKILL)
        other.communicate(timeout=20)


def would(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {task["task"]: task["would"] for task in json.loads(done.stdout)["tasks"]}


def test_a_part_in_one_file_is_seen_by_every_command(lab: Lab, folder: Path) -> None:
    before = lab.snapshot()
    with listener(lab):
        refused = ouchi(lab, folder, "up", "--dry-run", "--until", "host")
        assert refused.returncode == 2
        assert "port 7070 is already taken" in refused.stderr

    announced = would(ouchi(lab, folder, "up", "--dry-run", "--json", "--until", "host"))
    assert announced["toy"] == "change"
    done = ouchi(lab, folder, "up", "--json", "--until", "host")
    assert done.returncode == 0, done.stderr[-2000:]
    made = {task["task"]: task["kind"] for task in json.loads(done.stdout)["tasks"]}
    # What the dry run announced is what was changed, on a fresh machine and on one where all is made.
    assert {name for name, kind in made.items() if kind == "changed"} == changes(announced)
    assert changes(would(ouchi(lab, folder, "up", "--dry-run", "--json", "--until", "host"))) == set()

    status = json.loads(ouchi(lab, folder, "status", "--json").stdout)
    (line,) = [line for line in status["parts"] if line["part"] == "toy"]
    assert (line["ok"], line["services"][0]["name"]) == (True, "toyd")
    log = wait_for_log(lab, folder)
    assert "its secret has 48 characters" in log
    assert oct(os.stat(lab.path("/var/lib/ouchi/etc/toy/secret")).st_mode & 0o777) == "0o600"

    down = ouchi(lab, folder, "down")
    assert "stopped toyd" in down.stdout
    assert not lab.services()
    assert difference(before, lab.snapshot()) == {}


def changes(announced: dict[str, str]) -> set[str]:
    return {name for name, what in announced.items() if what == "change"}


def wait_for_log(lab: Lab, folder: Path) -> str:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        log = ouchi(lab, folder, "logs", "toyd").stdout
        if "secret" in log:
            return log
        time.sleep(0.1)
    return log


def test_hugepages_set_aside_at_boot_are_taken_as_they_are(lab: Lab) -> None:
    """S2: the dry run and ``up`` say the same of pages that the kernel was started with."""
    plan = json.loads(lab.ouchi("plan", "--json").stdout)
    (need,) = plan["hugepages"]
    parameters = " ".join(plan["kernel_args"])
    counter = f"/sys/devices/system/node/node{need['node']}/hugepages/hugepages-{need['size_kib']}kB/nr_hugepages"
    script = (
        f"cat /proc/cmdline > /tmp/cmdline; printf ' %s' '{parameters}' >> /tmp/cmdline;"
        f"mount --bind /tmp/cmdline /proc/cmdline; expr $(cat {counter}) + {need['count']} > {counter}"
    )
    before = int(lab.run(["cat", counter]).stdout)
    lab.run(["sh", "-ceu", script])
    try:
        announced = would(lab.ouchi("up", "--dry-run", "--json", "--until", "host"))
        done = lab.ouchi("up", "--json", "--until", "host", timeout=120)
        made = {task["task"]: task["kind"] for task in json.loads(done.stdout)["tasks"]}
        assert announced["hugepages"] == "nothing"
        assert {name for name, kind in made.items() if kind == "changed"} == changes(announced)
        lab.ouchi("down")
        assert int(lab.run(["cat", counter]).stdout) == before + need["count"]
    finally:
        lab.run(["sh", "-c", f"umount /proc/cmdline; echo {before} > {counter}"])
