"""``ouchi up`` from nothing in a lab, what stands then as seen by other eyes than ouchi's, and the way back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from guardian import hugepages, pages_of_others
from keeper import Snapshot
from lab import Lab, difference
from ruamel.yaml import YAML
from terminal import Terminal

from ouchi.parts import registry
from ouchi.parts.libvirt import LOG_BYTES, OLD_LOGS

NOBODY = Path(__file__).with_name("nobody.py")
CLOUDS = """\
# Mine: clouds I use.
clouds:
  work:   # the one at work
    auth:
      auth_url: 'https://cloud.example/v3'
      username: "me"
    regions: [ one, two ]
cache: {expiration_time: 3600}
"""
STATE = "/var/lib/ouchi"
KEPT = {"ovsdb", "ovs-vswitchd"}
"""What carries packets; everything else is control plane."""


STOPPED = """
import json, os, signal, subprocess, sys, time
from dataclasses import asdict
from ouchi.core.instance import Instance
from ouchi.live import wire
from ouchi.machine.local import LocalMachine
send = '''
import socket, sys, time
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[1])):
    end.sendto(bytes(64), ("10.101.0.10", 9))
    if number % 100 == 99:
        time.sleep(0.002)
'''
machine, instance, spaces = LocalMachine(), Instance(), ("ouchi-right",)
pid = int(machine.read(f"{instance.ovs}/ovs-vswitchd.pid"))
before = wire.read_steady(machine, instance, spaces)
os.kill(pid, signal.SIGSTOP)
try:
    subprocess.run(["ip", "netns", "exec", *spaces, sys.executable, "-c", send, sys.argv[1]], check=True)
finally:
    os.kill(pid, signal.SIGCONT)
hops = wire.hops(before, wire.read_steady(machine, instance, spaces), spaces)
print(json.dumps([asdict(hop) | {"lost": hop.lost} for hop in hops if hop.own]))
"""
"""Send datagrams from the endpoint while ovs-vswitchd stands still, then print what each hop of its wire lost."""


@dataclass
class Host:
    """The lab once ouchi is up in it."""

    lab: Lab
    before: Snapshot
    others: dict[str, int]
    summary: dict[str, Any]
    stdout: str
    stderr: str
    ids: dict[str, str]

    def changes(self) -> dict[str, Any]:
        """What differs from before ``up``. The counts of hugepages say nothing when others changed them meanwhile."""
        found = difference(self.before, self.lab.snapshot())
        if pages_of_others() != self.others:
            found.pop("hugepages", None)
        return found


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    """``up`` on a machine where nothing of ouchi's is, but with entries for other clouds."""
    clouds = lab.path("/etc/openstack/clouds.yaml")
    clouds.parent.mkdir()
    clouds.write_text(CLOUDS)
    clouds.chmod(0o640)
    before, others = lab.snapshot(), pages_of_others()
    done = lab.ouchi("up", "--json", timeout=400)
    return Host(lab, before, others, json.loads(done.stdout), done.stdout, done.stderr, ids(lab))


def client(lab: Lab, *words: str) -> Any:
    """What OpenStack's own command line says, as JSON."""
    return json.loads(lab.ouchi("openstack", *words, "-f", "json").stdout)


def ids(lab: Lab) -> dict[str, str]:
    """Each server's ID by its name."""
    found = {server["Name"]: server["ID"] for server in client(lab, "server", "list")}
    log = lab.path("/var/log/ouchi/nova-api.log").read_text().splitlines()
    assert found, "\n".join(line for line in log[-200:] if re.search("WARNING|ERROR|Traceback", line))
    return found


def rows_of_each_kind(lab: Lab) -> dict[str, list[str]]:
    """The IDs of all that there is, by kind. The client takes seconds to start, so some are asked side by side."""
    kinds = ("network", "image", "flavor", "port", "subnet", "user")
    with ThreadPoolExecutor(3) as pool:
        rows = pool.map(lambda kind: sorted(row["ID"] for row in client(lab, kind, "list")), kinds)
        return dict(zip(kinds, rows, strict=True))


def tool(lab: Lab, command: str) -> str:
    """A shell command with what ``ouchi env`` says."""
    return lab.run(["sh", "-c", f'eval "$({sys.executable} -m ouchi env)"; {command}']).stdout


def appctl(lab: Lab, *words: str) -> str:
    """What ovs-vswitchd says."""
    return lab.run(["env", "OVS_RUNDIR=/run/ouchi/ovs", "ovs-appctl", *words]).stdout


def ping(lab: Lab, count: int, interval: float = 0.2) -> str:
    """From the endpoint on the right VLAN to the server behind the forwarder."""
    words = ["ip", "netns", "exec", "ouchi-right", "ping", "-n", "-c", str(count), "-i", str(interval), "10.101.0.10"]
    return lab.run(words, check=False).stdout


def received(text: str) -> int:
    found = re.search(r"(\d+) received", text)
    return int(found[1]) if found else 0


def guests(lab: Lab) -> dict[str, tuple[int, dict[str, set[int]]]]:
    """Each server's QEMU process, and the CPUs that the kernel lets each of its vCPU threads use."""
    found = {}
    for pid, argv in lab.processes().items():
        if not Path(argv[0]).name.startswith("qemu-system"):
            continue
        uuid = argv[argv.index("-uuid") + 1]
        threads = {}
        for task in lab.path(f"/proc/{pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            if re.match(r"CPU \d+/", name):
                threads[name] = cpus(task / "status")
        found[uuid] = pid, threads
    return found


def cpus(status: Path) -> set[int]:
    """``Cpus_allowed_list`` of a thread."""
    listed = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status.read_text(), re.MULTILINE)
    assert listed
    found: set[int] = set()
    for part in listed[1].split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def pages_stand(lab: Lab) -> bool:
    """Whether the kernel's counts, which are everybody's on this machine, are those that ``up`` left."""
    journal = json.loads(lab.path(f"{STATE}/journal.json").read_text())
    expected = {one["key"]: one["after"]["pages"] for one in journal["records"] if one["kind"] == "hugepages"}
    assert expected
    found = {}
    for path, count in hugepages().items():
        node, size = re.findall(r"node(\d+)/hugepages/hugepages-(\d+)kB", path)[0]
        found[f"{node}:{size}"] = count
    return expected.items() <= found.items()


def wait_until(what: str, probe: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.1)


# --- the lab itself, before any other: there is one at a time


def test_a_lab_ends_with_its_holder(tmp_path: Path) -> None:
    """Killed without warning: nothing runs on, and hugepages reserved meanwhile are given back."""
    script = f"""
import pathlib, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from guardian import hugepages
from lab import Lab
lab = Lab(pathlib.Path({str(tmp_path)!r}))
gate = lab.start_program(["sleep", "1000"])
while not lab.pid(gate):
    time.sleep(0.01)
path, count = min(hugepages().items(), key=lambda item: "1048576kB" in item[0])
lab.run(["sh", "-c", f"echo {{count + 3}} > {{path}}"])
print(lab.pid(gate), path, count, hugepages()[path], flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        try:
            pid, path, before, during = holder.stdout.readline().split()
        finally:
            holder.kill()
    assert int(during) == int(before) + 3
    wait_until("the program inside is gone", lambda: not Path(f"/proc/{pid}").exists())
    wait_until("the hugepages are back", lambda: int(Path(path).read_text()) < int(during))
    wait_until("the scratch folder is gone", lambda: not (tmp_path / "lab").exists())


# --- what up says and writes


def test_summary_is_complete(host: Host) -> None:
    summary = host.summary
    stages = "prepare inspect plan host dataplane cloud network image flavor servers verify"
    assert {task["stage"] for task in summary["tasks"]} == set(stages.split(" "))
    assert all(task["seconds"] >= 0 and task["begin"] >= 0 for task in summary["tasks"])
    assert 0 < max(task["begin"] + task["seconds"] for task in summary["tasks"]) <= summary["seconds"] + 0.1
    checks = summary["verified"]["checks"]
    assert len(checks) >= 15
    assert [check for check in checks if check["result"] != "ok"] == []


def test_traffic_was_measured(host: Host) -> None:
    (measured,) = host.summary["verified"]["measurements"]
    assert measured["tcp_bps"] > 1e6
    assert measured["udp_received_bps"] > 1e6
    assert measured["udp_sent"] > 1000
    assert 0 <= measured["udp_lost"] < measured["udp_sent"]


def test_figures_are_labelled(host: Host) -> None:
    """Overlapped from the pools themselves, emulated from what QEMU was really told."""
    labels = " ".join(host.summary["verified"]["labels"])
    pools = {name: set(pool) for name, pool in host.summary["plan"]["pools"].items()}
    assert bool(pools["pmd"] & pools["host"]) == ("overlapped" in labels)
    qemu = [argv for argv in host.lab.processes().values() if "-accel" in argv]
    assert qemu
    assert any(argv[argv.index("-accel") + 1].startswith("tcg") for argv in qemu) == ("emulated" in labels)


def test_progress_is_json_lines(host: Host) -> None:
    events = [json.loads(line) for line in host.stderr.splitlines()]
    done = {event["task"] for event in events if event["kind"] in ("changed", "nothing to do")}
    assert done == {task["task"] for task in host.summary["tasks"]}


def test_site_file_was_written(host: Host) -> None:
    path = host.lab.home / "ouchi.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    text = path.read_text()
    assert text.startswith("# ")
    assert {server["name"] for server in YAML(typ="safe").load(text)["servers"]} == set(host.ids)
    assert "site" in {event["task"] for event in map(json.loads, host.stderr.splitlines()) if event["kind"] == "note"}


# --- what stands, by other eyes


def test_servers_are_active(host: Host) -> None:
    servers = client(host.lab, "server", "list", "--long")
    assert {server["Name"]: server["Status"] for server in servers} == {"endpoint": "ACTIVE", "forwarder": "ACTIVE"}
    assert {server["Power State"] for server in servers} <= {"Running", 1}


def test_vcpus_run_where_the_plan_says(host: Host) -> None:
    pools, running = host.summary["plan"]["pools"], guests(host.lab)
    for guest in host.summary["plan"]["guests"]:
        _, threads = running[host.ids[guest["name"]]]
        assert len(threads) == guest["vcpus"]
        if guest["pinned"]:
            assert all(len(allowed) == 1 and allowed <= set(pools["dedicated"]) for allowed in threads.values())
            assert len(set.union(*threads.values())) == guest["vcpus"]
        else:
            assert all(allowed <= set(pools["shared"]) for allowed in threads.values())
    assert any(guest["pinned"] for guest in host.summary["plan"]["guests"])


def test_guest_memory_is_on_hugepages(host: Host) -> None:
    running = guests(host.lab)
    for guest in host.summary["plan"]["guests"]:
        pid, _ = running[host.ids[guest["name"]]]
        smaps = host.lab.path(f"/proc/{pid}/smaps").read_text()
        huge = sum(int(size) for size in re.findall(r"^(?:Shared|Private)_Hugetlb:\s+(\d+) kB$", smaps, re.MULTILINE))
        assert huge >= guest["memory_mib"] * 1024


def test_pmd_threads_have_the_planned_core(host: Host) -> None:
    planned = set(host.summary["plan"]["pools"]["pmd"])
    shown = appctl(host.lab, "dpif-netdev/pmd-rxq-show")
    assert {int(core) for core in re.findall(r"core_id (\d+)", shown)} == planned
    assert len(re.findall(r"port: vhu", shown)) == 3
    (switch,) = host.lab.services()["ovs-vswitchd"]
    threads = [
        task for task in host.lab.path(f"/proc/{switch}/task").iterdir() if "pmd-c" in (task / "comm").read_text()
    ]
    assert sorted(map(tuple, (cpus(task / "status") for task in threads))) == sorted((cpu,) for cpu in planned)


def test_dpdk_probes_no_nic(host: Host) -> None:
    assert tool(host.lab, "ovs-vsctl get Open_vSwitch . other_config:dpdk-extra").strip().strip('"') == "--no-pci"
    assert tool(host.lab, "ovs-vsctl get Open_vSwitch . dpdk_initialized").strip() == "true"
    (switch,) = host.lab.services()["ovs-vswitchd"]
    opened = [os.readlink(path) for path in host.lab.path(f"/proc/{switch}/fd").iterdir()]
    assert not [path for path in opened if "/vfio" in path or "/uio" in path or "/sys/bus/pci" in path]


def test_frames_carry_the_vlan(host: Host) -> None:
    assert received(ping(host.lab, 3)) == 3
    flows = appctl(host.lab, "dpctl/dump-flows", "netdev@ovs-netdev")
    assert re.search(r"vlan\(vid=102\b", flows)


def test_packets_pass_the_forwarder(host: Host) -> None:
    text = ping(host.lab, 5)
    assert set(re.findall(r"ttl=(\d+)", text)) == {"63"}, "one router on the way"
    assert received(text) == 5


def test_the_endpoints_wire_waits_for_a_switch_that_stands_still(host: Host) -> None:
    """What its ring has room for arrives; of more, the loss that is reported is the one that took place."""
    assert received(ping(host.lab, 3)) == 3
    for frames, lost in ((5000, 0), (10_000, 10_000 - 8192)):
        hops = json.loads(host.lab.run([sys.executable, "-c", STOPPED, str(frames)], timeout=120).stdout)
        first, *others = hops
        assert first["sent"] >= frames, hops
        assert lost <= first["lost"] <= lost + first["sent"] - frames, hops
        assert [hop["lost"] for hop in others] == [0, 0, 0], hops
    verified = host.summary["verified"]["hops"]
    assert [hop["lost"] for hop in verified if hop["own"]] == [0, 0, 0, 0]
    assert verified[0]["sent"] > 1000


def test_nothing_listens_beyond_loopback(host: Host) -> None:
    lines = host.lab.run(["ss", "-Hltun"]).stdout.splitlines()
    lines += host.lab.run(["ip", "netns", "exec", "ouchi-right", "ss", "-Hltun"]).stdout.splitlines()
    addresses = [line.split()[4].rpartition(":")[0] for line in lines]
    assert len(addresses) >= 8
    assert {address.partition("%")[0] for address in addresses} <= {"127.0.0.1", "[::1]"}


# --- the user's own files, and secrets


def test_other_clouds_are_kept(host: Host) -> None:
    path = host.lab.path("/etc/openstack/clouds.yaml")
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    mine, now = (YAML(typ="safe").load(found) for found in (CLOUDS, text))
    assert set(now["clouds"]) == {"work", "ouchi"}
    assert now["clouds"]["work"] == mine["clouds"]["work"]
    assert now["cache"] == mine["cache"]
    assert "# Mine: clouds I use." in text
    assert "# the one at work" in text


def passwords(lab: Lab) -> dict[str, str]:
    found: dict[str, str] = json.loads(lab.path(f"{STATE}/secrets.json").read_text())
    return found


def disclosed(text: str, secrets: dict[str, str]) -> list[str]:
    """The names of the secrets that stand in a text."""
    return [name for name, secret in secrets.items() if secret in text]


def test_secrets_are_kept_by_root(host: Host) -> None:
    status = host.lab.path(f"{STATE}/secrets.json").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, 0)
    secrets = passwords(host.lab)
    assert len(secrets) >= 8
    assert len(set(secrets.values())) == len(secrets)
    assert all(len(secret) >= 32 for secret in secrets.values())


def test_another_user_gets_nowhere(host: Host) -> None:
    """Files, sockets, ports, the lock, processes and APIs, each tried as a user without any rights."""
    lab, ports = host.lab, registry.ports()
    assert list(lab.path(f"{STATE}/nova/instances").glob("*/console.log"))
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", sys.executable, "-I", str(NOBODY)]
    found = json.loads(lab.run([*as_nobody, *map(str, ports.values())]).stdout)
    assert found["user"] == 65534
    assert {name: found[name] for name in ("write", "connected", "bound", "locked", "signalled", "environments")} == {
        "write": [], "connected": [], "bound": [], "locked": False, "signalled": [], "environments": [],
    }  # fmt: skip
    apis = {str(ports[name]) for name in registry.endpoints()}
    for port in apis:
        statuses = set(found["answers"][port].values())
        assert 401 in statuses
        assert statuses <= {300, 401, 404}, found["answers"][port]
    secrets = passwords(lab)
    assert [path for path in found["read"] if disclosed(lab.path(path).read_text(errors="replace"), secrets)] == []
    assert [path for path in found["seen"] if "/nova/instances/" in path] == []


def test_the_message_broker_has_no_guest(host: Host) -> None:
    login = "import amqp, sys; amqp.Connection(f'127.0.0.1:{sys.argv[1]}', sys.argv[2], sys.argv[3]).connect()"
    python, port = f"{STATE}/cache/openstack/bin/python", str(registry.ports()["rabbitmq"])
    host.lab.run([python, "-c", login, port, "ouchi", passwords(host.lab)["rabbitmq"]])
    assert "ACCESS_REFUSED" in host.lab.run([python, "-c", login, port, "guest", "guest"], check=False).stderr


def test_no_secret_in_a_command_line(host: Host) -> None:
    secrets = passwords(host.lab)
    lines = {pid: " ".join(argv) for pid, argv in host.lab.processes().items()}
    assert len(lines) > 20
    assert {lines[pid][:80]: names for pid, line in lines.items() if (names := disclosed(line, secrets))} == {}


def test_no_secret_in_a_log(host: Host) -> None:
    secrets = passwords(host.lab)
    logs = [path for path in host.lab.path("/var/log").rglob("*") if path.is_file()]
    assert len(logs) >= 15
    assert {path.name: names for path in logs if (names := disclosed(path.read_text(errors="replace"), secrets))} == {}


def test_no_secret_in_what_up_and_status_print(host: Host) -> None:
    status = host.lab.ouchi("status", "--json", check=False)
    assert disclosed(host.stdout + host.stderr + status.stdout + status.stderr, passwords(host.lab)) == []


def test_no_secret_in_a_file_that_others_read(host: Host) -> None:
    """Others: anybody but root and the file's owner, as far as the folders above let them."""
    secrets = [secret.encode() for secret in passwords(host.lab).values()]
    holding = []

    def walk(folder: Path, way: int) -> None:
        way &= folder.stat().st_mode
        for entry in list(os.scandir(folder)):
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and entry.name not in ("cache", "hugepages", "netns"):
                walk(Path(entry), way)
            elif stat.S_ISREG(mode):
                data = Path(entry).read_bytes()
                if any(secret in data for secret in secrets):
                    holding.append(
                        (
                            entry.path.partition("/root")[2],
                            bool((mode & 0o040 and way & 0o010) or (mode & 0o004 and way & 0o001)),
                        )
                    )

    for top in (STATE, "/etc", "/run", "/var/log"):
        walk(host.lab.path(top), 0o777)
    assert len(holding) > 5, "the services' own files hold them"
    assert [path for path, open_to_others in holding if open_to_others] == []


# --- again, and two at once


def test_again_changes_nothing(host: Host) -> None:
    rows = rows_of_each_kind(host.lab)
    moved = not pages_stand(host.lab)
    again = json.loads(host.lab.ouchi("up", "--json", timeout=200).stdout)
    usual = {"hugepages"} if moved else set()
    assert {task["task"] for task in again["tasks"] if task["kind"] != "nothing to do"} <= usual
    assert again["verified"]["measurements"] == host.summary["verified"]["measurements"]
    assert ids(host.lab) == host.ids
    assert rows_of_each_kind(host.lab) == rows
    assert {kind: len(rows[kind]) for kind in ("network", "image", "flavor")} == {"network": 2, "image": 1, "flavor": 2}


def test_two_at_once(host: Host) -> None:
    first = host.lab.start("up", "--json")
    lock = host.lab.path("/run/ouchi.lock")

    def holder() -> str:
        """The first one's own number, and whether the lock file says it."""
        numbers = re.search(r"^NSpid:.*\s(\d+)$", Path(f"/proc/{host.lab.pid(first)}/status").read_text(), re.MULTILINE)
        number = numbers[1] if numbers else "?"
        return number if lock.read_text().endswith(f"process {number}") else ""

    wait_until("the first holds the lock", lambda: host.lab.pid(first) and holder(), seconds=20)
    number = holder()
    host.lab.signal(first, signal.SIGSTOP)  # it may have next to nothing to do
    try:
        second = host.lab.ouchi("up", check=False)
    finally:
        first.send_signal(signal.SIGCONT)  # nsenter, which has stopped with it and lets it continue
        host.lab.signal(first, signal.SIGCONT)
    out, err = first.communicate(timeout=200)
    assert second.returncode == 2
    assert f"ouchi up, process {number}" in second.stderr
    assert first.returncode == 0, err[-2000:]
    assert json.loads(out)["tasks"]


def test_env(host: Host) -> None:
    """Everybody's tools talk to what ouchi runs."""
    assert {"br-int", "br-physnet1"} <= set(tool(host.lab, "ovs-vsctl list-br").split())
    # In the order in which they were started, which is nobody's matter.
    assert set(tool(host.lab, "virsh list --name").split()) == {"instance-00000001", "instance-00000002"}
    assert "neutron" in tool(host.lab, "ovn-nbctl show").lower()
    assert "Chassis" in tool(host.lab, "ovn-sbctl show")
    assert "pmd thread" in tool(host.lab, "ovs-appctl dpif-netdev/pmd-rxq-show")


def test_status_and_logs(host: Host) -> None:
    status = host.lab.ouchi("status", "--json", check=False)
    shown = json.loads(status.stdout)
    wrong = [part for part in shown["parts"] if not part["ok"]]
    assert (status.returncode, wrong) == (0, [])
    assert shown["up"]
    assert shown["healthy"]
    lines = host.lab.ouchi("logs", "ovs-vswitchd", "-n", "7").stdout.splitlines()
    assert lines == host.lab.path("/var/log/ouchi/ovs-vswitchd.log").read_text().splitlines()[-7:]


FLOOD = bytes.fromhex("baf803" + "b041" + "ee" + "ebfd").ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20)
"""mov dx,0x3f8; mov al,'A'; out dx,al; jmp $-1: a boot sector that prints on the serial console for ever."""
FLOODING = """<domain type="qemu"><name>flood</name><memory unit="MiB">32</memory><os><type machine="q35">hvm</type></os><devices>
<disk type="file"><driver type="raw"/><source file="{folder}/flood.img"/><target dev="vda" bus="virtio"/></disk>
<serial type="pty"><log file="{folder}/flood.log" append="off"/></serial></devices></domain>"""


def test_a_guest_that_prints_for_ever_does_not_fill_the_disk(host: Host) -> None:
    """A console as nova's servers have it; what nova itself shows of one is in order too."""
    folder = "/var/lib/ouchi/nova/instances"
    host.lab.path(f"{folder}/flood.img").write_bytes(FLOOD)
    host.lab.path(f"{folder}/flood.img").chmod(0o644)
    host.lab.path(f"{folder}/flood.xml").write_text(FLOODING.format(folder=folder))
    tool(host.lab, f"virsh create {folder}/flood.xml")
    full, sizes, deadline = host.lab.path(f"{folder}/flood.log.0"), [0], time.monotonic() + 120
    fresh = set[int]()
    while len(fresh) < 4 and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            fresh.add(full.stat().st_mtime_ns)
        sizes.append(sum(path.stat().st_size for path in host.lab.path(folder).glob("flood.log*")))
        time.sleep(0.05)
    assert tool(host.lab, "virsh domstate flood").strip() == "running"
    tool(host.lab, "virsh destroy flood")
    for path in host.lab.path(folder).glob("flood*"):
        path.unlink()
    print(f"{len(fresh)} full logs, at most {max(sizes)} bytes at once")
    assert len(fresh) >= 4, "it printed several times what may be kept"
    assert max(sizes) <= (OLD_LOGS + 1) * LOG_BYTES * 1.2
    for server in host.ids:
        assert len(host.lab.ouchi("openstack", "console", "log", "show", server).stdout) > 100


def test_a_console_is_a_shell_of_the_guest(host: Host) -> None:
    with Terminal(host.lab, [sys.executable, "-m", "ouchi", "console", "endpoint"]) as terminal:
        terminal.until(b"# ", keys=b"\r")  # virsh drops what was typed before it set the terminal's mode
        terminal.write(b"echo $((6 * 7)) apples\r")
        terminal.until(b"42 apples")
        terminal.write(b"\x1d")
        assert terminal.ended() == 0
        assert terminal.mode() == terminal.before
    refused = host.lab.ouchi("console", "endpiont", check=False)
    assert refused.returncode == 2
    assert "console endpoint" in refused.stderr


# --- without the control plane, down, up again, and gone


def test_packets_pass_without_the_control_plane(host: Host) -> None:
    """Frozen, then killed: guests and switch continue; afterwards ``up`` fixes it all."""
    services = host.lab.services()
    frozen = [pid for name, pids in services.items() if name not in KEPT for pid in pids]
    killed = [pid for name, pids in services.items() if name not in KEPT | {"supervisord"} for pid in pids]
    assert {"nova-compute", "neutron-api", "mariadb", "rabbitmq", "libvirtd", "ovn-controller"} <= set(services)
    host.lab.run(["kill", "-STOP", *map(str, frozen)])
    try:
        text = ping(host.lab, 10)
        assert received(text) >= 9, text
        host.lab.run(["kill", "-KILL", *map(str, killed)])
        text = ping(host.lab, 10)
        assert received(text) >= 9, text
    finally:
        host.lab.run(["kill", "-CONT", *map(str, services["supervisord"])])
    host.lab.ouchi("up", timeout=200)
    assert ids(host.lab) == host.ids
    servers = client(host.lab, "server", "list")
    assert {server["Status"] for server in servers} == {"ACTIVE"}


@pytest.fixture(scope="module")
def down(host: Host) -> dict[str, Any]:
    """``down``, and what differs from before ``up``."""
    host.lab.ouchi("down", timeout=120)
    return host.changes()


def test_down_puts_the_machine_back(host: Host, down: dict[str, Any]) -> None:
    assert down == {}
    assert host.lab.path(f"{STATE}/secrets.json").exists()
    assert host.lab.path(f"{STATE}/mariadb").exists()
    journal = json.loads(host.lab.path(f"{STATE}/journal.json").read_text())
    assert journal["records"] == [], "everything noted has been undone"


@pytest.mark.usefixtures("down")
def test_down_again(host: Host) -> None:
    began = time.monotonic()
    again = host.lab.ouchi("down")
    assert "nothing to do" in again.stdout
    assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def resumed(host: Host, down: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  # after it
    """``up`` after ``down``."""
    found: dict[str, Any] = json.loads(host.lab.ouchi("up", "--json", timeout=300).stdout)
    return found


def test_up_after_down_resumes(host: Host, resumed: dict[str, Any]) -> None:
    assert ids(host.lab) == host.ids
    servers = client(host.lab, "server", "list")
    assert {server["Status"] for server in servers} == {"ACTIVE"}
    assert set(guests(host.lab)) == set(host.ids.values())
    assert [check for check in resumed["verified"]["checks"] if check["result"] != "ok"] == []
    assert resumed["verified"]["measurements"]
    assert received(ping(host.lab, 5)) == 5


@pytest.mark.usefixtures("resumed")
def test_purge_leaves_nothing(host: Host) -> None:
    host.lab.ouchi("down", "--purge", timeout=120)
    assert not host.lab.path(STATE).exists()
    assert not host.lab.path("/var/log/ouchi").exists()
    assert host.changes() == {}
    assert host.lab.path("/etc/openstack/clouds.yaml").read_text() == CLOUDS
    again = host.lab.ouchi("down", "--purge")
    assert "nothing to do" in again.stdout
