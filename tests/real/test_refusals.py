"""What ``up`` must refuse or give up, in a lab: with a clear word, the right status, and nothing of others touched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from guardian import pages_of_others
from lab import Lab, difference

OUCHI = (sys.executable, "-m", "ouchi")
STATE = "/var/lib/ouchi"

SITE = """\
name: lab
networks:
  - name: left
    physnet: physnet1
    vlan: {vlan}
    subnet: 10.101.0.0/24
    endpoint: 10.101.0.2
servers:
  - name: one
    vcpus: 1
    memory: {memory}
    ports:
      - network: left
        address: 10.101.0.10
"""


@pytest.fixture(autouse=True)
def unchanged(lab: Lab) -> Iterator[None]:
    """After every test the lab is as before it."""
    before, others = lab.snapshot(), pages_of_others()
    yield
    changes = difference(before, lab.snapshot())
    if pages_of_others() != others:  # the counts say nothing when others changed them meanwhile
        changes.pop("hugepages", None)
    assert changes == {}


def up(lab: Lab, *words: str, status: int, timeout: float = 90) -> str:
    """What ``up`` says on its way to a status; never a traceback."""
    done = lab.ouchi("up", *words, timeout=timeout, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == status, output[-3000:]
    assert "Traceback" not in output
    assert "this is a bug" not in output
    return output


def site(lab: Lab, *, vlan: object = 101, memory: str = "256 MiB", text: str = SITE) -> str:
    (lab.home / "mine.yaml").write_text(text.format(vlan=vlan, memory=memory))
    return "mine.yaml"


@contextmanager
def running(lab: Lab, argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program of another user in the lab."""
    gate = lab.start_program(argv)
    try:
        yield gate
    finally:
        lab.signal(gate, signal.SIGTERM)
        gate.communicate(timeout=20)


def wait_until(what: str, probe: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)


# --- the site


@pytest.mark.parametrize(
    ("text", "location"),
    [
        (SITE.replace("{vlan}", "5000"), "mine.yaml:5:11"),
        (SITE.replace("    vlan", "\tvlan"), "mine.yaml:5:1"),
        (SITE.replace("memory:", "memroy:"), "mine.yaml:11:5"),
        (SITE.replace("network: left", "network: middle"), "mine.yaml:13:18"),
    ],
    ids=["value", "tab", "misspelt", "no-such-network"],
)
def test_bad_site(lab: Lab, text: str, location: str) -> None:
    output = up(lab, "--site", site(lab, text=text), status=2)
    assert f"{location}: " in output
    assert "expected" in output


def test_bad_site_is_refused_before_anything_is_done(lab: Lab) -> None:
    """On a fresh machine the first task would install packages for minutes."""
    output = up(lab, "--json", "--site", site(lab, vlan=5000), status=2)
    events = [json.loads(line) for line in output.splitlines() if line.startswith('{"')]
    assert [event["task"] for event in events if event["stage"] in ("prepare", "host")] == []


def test_site_that_does_not_fit(lab: Lab) -> None:
    """A guest with more memory than the machine has: no hugepage is reserved."""
    total = int(re.findall(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)[0])
    output = up(lab, "--site", site(lab, memory=f"{total // 2**20 + 1} GiB"), status=2)
    assert re.search(r"memory|hugepages", output)
    assert re.search(r"found: +\S", output)
    assert re.search(r"next: +\S", output)


# --- what else runs


def test_taken_port(lab: Lab) -> None:
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 290)); time.sleep(600)"
    with running(lab, [sys.executable, "-c", listen]) as other:
        wait_until("it listens", lambda: ":290 " in lab.run(["ss", "-Hltn"]).stdout)
        output = up(lab, "--until", "plan", "--site", site(lab), status=2)
        assert re.search(r"port 290\b", output)
        assert re.search(r"found: +python\S* \(process \d+\)", output)
        assert "next:" in output
        assert other.poll() is None


def test_ports_that_every_user_may_take(lab: Lab) -> None:
    start = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
    usual = lab.path(start).read_text()
    lab.run(["sh", "-c", f"echo 80 >{start}"])
    try:
        output = up(lab, "--until", "plan", "--site", site(lab), status=2)
        client = lab.ouchi("openstack", "token", "issue", check=False)
    finally:
        lab.run(["sh", "-c", f"echo {usual.strip()} >{start}"])
    for text in (output, client.stderr):
        assert "every user may listen on ports that OpenStack's passwords are sent to" in text
        assert "sysctl" in text
    assert client.returncode == 3


def test_another_open_vswitch(lab: Lab) -> None:
    folder = f"{lab.home}/ovs"
    os.mkdir(folder)
    tool = f"OVS_RUNDIR={folder} ovs-vsctl --timeout=15 --db=unix:{folder}/db.sock"
    where = [f"--pidfile={folder}/$0.pid", f"--unixctl={folder}/$0.ctl", "-vsyslog:off", "-vconsole:off"]
    lab.run(["ovsdb-tool", "create", f"{folder}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema"])
    database = ["ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock"]
    switch = ["ovs-vswitchd", f"unix:{folder}/db.sock"]
    words = [[*argv, *(word.replace("$0", Path(argv[0]).name) for word in where)] for argv in (database, switch)]
    with running(lab, words[0]):
        wait_until("the database answers", lambda: lab.path(f"{folder}/db.sock").exists())
        with running(lab, words[1]) as other:
            lab.run(["sh", "-c", f"{tool} add-br br-int -- set Bridge br-int datapath_type=netdev"])
            shown = lab.run(["sh", "-c", f"{tool} show"]).stdout
            device = lab.path("/sys/class/net/br-int/ifindex").read_text()
            output = up(lab, "--site", site(lab), status=2)
            assert "br-int" in output
            assert "Open vSwitch" in output
            assert lab.run(["sh", "-c", f"{tool} show"]).stdout == shown
            assert lab.path("/sys/class/net/br-int/ifindex").read_text() == device
            assert other.poll() is None
            lab.run(["sh", "-c", f"{tool} del-br br-int"])


# --- the machine


def test_full_disk(lab: Lab) -> None:
    """As when /var/lib/ouchi is a small disk of its own."""
    lab.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "small", STATE])
    try:
        output = up(lab, "--site", site(lab), status=2)
        assert STATE in output
        assert re.search(r"found: +\d+ MiB free", output)
        used = int(lab.run(["df", "--output=used", "-m", STATE]).stdout.split()[1])
        assert used < 5, "nothing is poured into a disk that is too small"
    finally:
        lab.run(["umount", STATE])


def test_not_root(lab: Lab) -> None:
    """Nobody, who may read the checkout wherever it lies, on a machine without sudo."""
    reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    nobody = ("setpriv", "--reuid", "65534", "--clear-groups", *reads, "env", "PATH=/nowhere")
    done = lab.run([*nobody, *OUCHI, "up"], check=False)
    assert done.returncode == 2
    assert "root is needed" in done.stderr
    assert "65534" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_where_nothing_is_up(lab: Lab) -> None:
    done = lab.ouchi("down")
    assert done.returncode == 0
    assert lab.ouchi("status", check=False).returncode == 1


# --- the user's clouds.yaml, and Ctrl-C: these start things, so down must bring them back


@pytest.mark.parametrize("text", ["clouds: [", "- work\n- home\n"], ids=["no-yaml", "no-mapping"])
def test_clouds_file_that_is_none(lab: Lab, text: str) -> None:
    path = lab.path("/etc/openstack/clouds.yaml")
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o640)
    before = lab.snapshot()["files"]["/etc/openstack/clouds.yaml"]
    try:
        output = up(lab, "--until", "cloud", "--site", site(lab), status=2)
        assert "/etc/openstack/clouds.yaml: " in output
        assert re.search(r"next: .*ouchi up", output)
        lab.ouchi("down", timeout=60)
        assert path.read_text() == text
        assert lab.snapshot()["files"]["/etc/openstack/clouds.yaml"] == before
        assert not lab.path("/etc/openstack/secure.yaml").exists()
    finally:
        path.unlink()
        path.parent.rmdir()


def test_interrupt(lab: Lab) -> None:
    """Ctrl-C while much is under way: 130 and how to continue; down brings all back."""
    words = ("up", "--json", "--until", "cloud", "--site", site(lab))
    gate = lab.start(*words)
    assert gate.stderr
    for line in gate.stderr:
        if re.search(r'"(progress|started)".*"mariadb"', line):
            break
    began = time.monotonic()
    lab.signal(gate, signal.SIGINT)
    _, err = gate.communicate(timeout=30)
    assert gate.returncode == 130, err[-2000:]
    assert time.monotonic() - began < 20
    assert "run the same command again" in err
    assert "Traceback" not in err
    ours = {pid for pids in lab.services().values() for pid in pids}
    strays = [argv for pid, argv in lab.processes().items() if pid not in ours]
    assert strays == [], "only services run on"
    lab.ouchi("down", timeout=60)
