"""Killed without warning: ``up`` and ``down``, every daemon, their supervisor, a guest. All comes back, and only once.

The tests run in order in one lab, each from what the one before left, and leave the machine as it was.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from guardian import hugepages, pages_of_others
from keeper import Snapshot
from lab import Lab, difference

from ouchi.core.instance import Instance
from ouchi.parts.stages import STAGES

UP_SECONDS = 400
BACK_SECONDS = 45
"""How long a killed daemon may take until it does its work again."""

HEALTHY_SECONDS = 120
"""How long until nothing at all is amiss: nova believes the last report for a minute."""

HANDFUL = 5
"""Pings that may get lost around the death of one daemon that carries no packets."""

APIS = ("keystone-api", "placement-api", "glance-api", "nova-api", "neutron-api")
CONTROL = (
    "mariadb", "rabbitmq", "epmd", "ovn-db", "ovn-northd", "ovn-controller", "libvirtd", *APIS,
    "nova-conductor", "nova-scheduler", "nova-compute", "neutron-ovn-maintenance",
)  # fmt: skip
SWITCH = ("ovsdb", "ovs-vswitchd")
TARGET = "10.101.0.10"
"""The server behind the forwarder, seen from the endpoint on the right VLAN."""

pytestmark = pytest.mark.exhaustive

SEED = int(os.environ.get("OUCHI_TEST_SEED") or random.SystemRandom().randrange(10**6))
UP_KILLS, DOWN_KILLS = 6, 3

INVENTORY = """
import json, openstack
cloud = openstack.connect(cloud="ouchi")
services = {service.id: service.name for service in cloud.identity.services()}
print(json.dumps({
    "servers": [server.name for server in cloud.compute.servers()],
    "networks": [network.name for network in cloud.network.networks()],
    "subnets": [subnet.name for subnet in cloud.network.subnets()],
    "ports": [port.name for port in cloud.network.ports() if port.device_owner != "network:distributed"],
    "images": [image.name for image in cloud.image.images()],
    "flavors": [flavor.name for flavor in cloud.compute.flavors()],
    "bare flavors": [flavor.name for flavor in cloud.compute.flavors() if not flavor.extra_specs],
    "users": [user.name for user in cloud.identity.users()],
    "projects": [project.name for project in cloud.identity.projects()],
    "services": list(services.values()),
    "endpoints": [f"{services[point.service_id]} {point.interface}" for point in cloud.identity.endpoints()],
    "computes": [f"{service.binary} {service.host}" for service in cloud.compute.services()],
    "nodes": [node.name for node in cloud.compute.hypervisors()],
    "ids": {server.name: server.id for server in cloud.compute.servers()},
}))
"""


@dataclass
class Host:
    """The lab, what it was like before, where ``up`` was killed until it was complete, and the servers' IDs then."""

    lab: Lab
    before: Snapshot
    others: dict[str, int]
    killed: list[str]
    summary: dict[str, Any]
    ids: dict[str, str]

    def changes(self) -> dict[str, Any]:
        """What differs from before. The counts of hugepages say nothing when others changed them meanwhile."""
        found = difference(self.before, self.lab.snapshot())
        if pages_of_others() != self.others:
            found.pop("hugepages", None)
        return found


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    """``up`` from nothing, killed as soon as it says anything of a stage that no run before it has reached."""
    before, others = lab.snapshot(), pages_of_others()
    began, killed, reached = time.monotonic(), [], set[str]()
    while len(reached) < len(STAGES):
        killed.append(up_killed_in_a_new_stage(lab, reached))
        print(f"killed in {killed[-1]} after {time.monotonic() - began:.1f} s altogether")
    summary = up(lab)
    print(f"complete after {time.monotonic() - began:.1f} s altogether")
    return Host(lab, before, others, killed, summary, inventory(lab)["ids"])


# --- running, killing


def up(lab: Lab) -> dict[str, Any]:
    """``up`` to its end: every check of it is good. Its summary."""
    done = lab.ouchi("up", "--json", timeout=UP_SECONDS, check=False)
    if done.returncode:
        pytest.fail(f"up ended with {done.returncode}\n{done.stderr[-3000:]}\n{logs(lab, done.stderr)}")
    summary: dict[str, Any] = json.loads(done.stdout)
    bad = [check for check in summary["verified"]["checks"] if check["result"] != "ok"]
    assert bad == [], logs(lab, json.dumps(bad))
    return summary


def up_killed_in_a_new_stage(lab: Lab, reached: set[str]) -> str:
    """Start ``up``; kill it at the first event of a stage that is not in ``reached``, and add that stage."""
    gate = lab.start("up", "--json")
    watchdog = threading.Timer(UP_SECONDS, gate.kill)
    watchdog.start()
    lines = []
    try:
        assert gate.stderr
        for line in gate.stderr:
            lines.append(line)
            with contextlib.suppress(ValueError):
                stage = str(json.loads(line)["stage"])
                if stage not in reached:
                    lab.kill9(gate)
                    reached.add(stage)
                    return stage
        text = "".join(lines)
        pytest.fail(f"ended with {gate.wait()}, reached only {sorted(reached)}\n{text[-3000:]}\n{logs(lab, text)}")
    finally:
        watchdog.cancel()
        gate.kill()


def killed_after(lab: Lab, seconds: float, *words: str) -> bool:
    """Run ouchi and kill it after so long; False when it had ended by itself, well."""
    gate = lab.start(*words)
    try:
        _, text = gate.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        lab.kill9(gate)
        return True
    assert gate.returncode == 0, f"{words} ended with {gate.returncode}\n{text[-3000:]}\n{logs(lab, text)}"
    return False


def logs(lab: Lab, text: str) -> str:
    """The ends of the logs that a text names as ``ouchi logs PART``, and of the supervisor's."""
    parts = sorted({"supervisord", *re.findall(r"ouchi logs ([\w-]+)", text)})
    found = []
    for part in parts:
        with contextlib.suppress(OSError):
            lines = lab.path(f"/var/log/ouchi/{part}.log").read_text(errors="replace").splitlines()
            found += [f"--- {part}", *(line[:300] for line in lines[-25:])]
    return "\n".join(found)


Parts = list[dict[str, Any]]


def status(lab: Lab) -> tuple[int, Parts]:
    """The exit status of ``ouchi status``, and its parts."""
    done = lab.ouchi("status", "--json", check=False)
    return done.returncode, json.loads(done.stdout)["parts"]


def part_of(parts: Parts, service: str) -> dict[str, Any]:
    """The part that a service belongs to."""
    (found,) = [part for part in parts if service in {one["name"] for one in part["services"]}]
    return found


def amiss(parts: Parts) -> list[str]:
    """Each part that is not as it should be, as text."""
    return [" ".join(str(part[key]) for key in ("part", "state", "found")) for part in parts if not part["ok"]]


def wait_until(what: str, probe: Callable[[], object], seconds: float) -> float:
    """Seconds until ``probe`` returns nothing (it returns what is still amiss)."""
    began = time.monotonic()
    while left := probe():
        if time.monotonic() - began > seconds:
            pytest.fail(f"{what}: not within {seconds:g} s: {left}")
        time.sleep(0.1)
    return time.monotonic() - began


def wait_until_healthy(lab: Lab) -> float:
    def probe() -> str:
        code, parts = status(lab)
        return "" if code == 0 else f"status {code}: {amiss(parts)}\n{logs(lab, '')}"

    return wait_until("healthy again", probe, HEALTHY_SECONDS)


def mains(lab: Lab) -> dict[str, list[int]]:
    """The processes of each service that the supervisor itself has started."""
    services = lab.services()
    (daemon,) = services["supervisord"]
    return {name: [pid for pid in pids if parent(lab, pid) == daemon] for name, pids in services.items()}


def parent(lab: Lab, pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(lab.path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    return 0


def kill(lab: Lab, *pids: int, how: str = "KILL") -> None:
    lab.run(["kill", f"-{how}", *map(str, pids)])


# --- one of each


def shell(lab: Lab, command: str) -> str:
    """A shell command with what ``ouchi env`` says."""
    return lab.run(["sh", "-c", f'eval "$({sys.executable} -m ouchi env)"; {command}']).stdout


def inventory(lab: Lab) -> dict[str, Any]:
    # By OpenStack's own client library, which ouchi does not use: a second opinion.
    found: dict[str, Any] = json.loads(lab.run([f"{Instance().openstack}/bin/python", "-c", INVENTORY]).stdout)
    return found


def assert_one_of_each(host: Host) -> dict[str, str]:
    """Nothing is there twice, and nothing half: in OpenStack, OVN, OVS, the kernel, among processes. Servers' IDs."""
    found = inventory(host.lab)
    ids: dict[str, str] = found.pop("ids")
    assert found.pop("bare flavors") == []
    assert len(found.pop("images")) == 1
    flavors = found.pop("flavors")
    assert len(flavors) == len(set(flavors)) == 2
    kinds = ("glance", "keystone", "neutron", "nova", "placement")
    assert {kind: sorted(names) for kind, names in found.items()} == {
        "servers": ["endpoint", "forwarder"],
        "networks": ["left", "right"],
        "subnets": ["left", "right"],
        "ports": ["endpoint-0", "forwarder-0", "forwarder-1"],
        "users": ["admin", "glance", "neutron", "nova", "placement"],
        "projects": ["admin", "service"],
        "services": sorted(kinds),
        "endpoints": sorted(f"{kind} {way}" for kind in kinds for way in ("public", "internal", "admin")),
        "computes": ["nova-compute lab", "nova-conductor lab", "nova-scheduler lab"],
        "nodes": ["lab"],
    }
    assert_one_switch(host.lab)
    assert_one_process_each(host.lab, ids)
    others = pages_of_others()
    if others == host.others:
        ours = sum(hugepages().values()) - sum(others.values()) - sum(host.before["hugepages"].values())
        assert ours == sum(need["count"] for need in host.summary["plan"]["hugepages"])
    return ids


def assert_one_switch(lab: Lab) -> None:
    """OVS, OVN and the kernel's devices, namespaces and mounts."""
    interfaces = json.loads(shell(lab, "ovs-vsctl --format=json --columns=name,type,external_ids list Interface"))
    pairs = [(name, kind) for name, kind, _ in interfaces["data"]]
    assert sorted(shell(lab, "ovs-vsctl list-br").split()) == ["br-int", "br-physnet1", "out-physnet1"]
    plain = {(name, kind) for name, kind in pairs if kind in ("internal", "", "system")}
    assert {name for name, _ in plain} == {
        *("br-int", "br-physnet1", "out-physnet1"),
        *("ouchi-near0", "ouchi-far0", "ouchi-end0"),
    }
    kinds = Counter(kind for _, kind in pairs)
    assert kinds["dpdkvhostuserclient"] == 3, pairs
    assert kinds["patch"] == 4, "a pair for each network"
    identifiers = re.findall(r'"iface-id", "([^"]+)"', json.dumps(interfaces["data"]))
    assert len(identifiers) == len(set(identifiers)) == 3
    assert shell(lab, "ovn-sbctl --bare --columns=hostname list Chassis").split() == ["lab"]
    assert len(shell(lab, "ovn-nbctl --bare --columns=name list Logical_Switch").split()) == 2
    assert os.listdir(lab.path("/run/netns")) == ["ouchi-right"]
    devices = os.listdir(lab.path("/sys/class/net"))
    assert sorted(name for name in devices if name.startswith("ouchi")) == ["ouchi-end0", "ouchi-far0", "ouchi-near0"]
    mounts = lab.run(["cat", "/proc/self/mounts"]).stdout
    assert len(re.findall(r"^\S+ /run/ouchi/hugepages hugetlbfs ", mounts, re.MULTILINE)) == 1


def assert_one_process_each(lab: Lab, ids: dict[str, str]) -> None:
    """One supervised process a service, none of an earlier life, one QEMU a server."""
    services, running = lab.services(), lab.processes()
    started = mains(lab)
    assert {name: len(started[name]) for name in (*SWITCH, *CONTROL)} == dict.fromkeys((*SWITCH, *CONTROL), 1)
    assert set(services) == {*SWITCH, *CONTROL, "supervisord"}
    (daemon,) = services["supervisord"]
    # nova-compute's helpers put themselves into the background; each has a task of its own.
    helpers: Counter[str] = Counter()
    strays = []
    for name, pids in services.items():
        for pid in pids:
            up = pid
            while up > 1 and up != daemon:
                up = parent(lab, up)
            if up != daemon and lab.path(f"/proc/{pid}").exists() and (argv := running.get(pid)):
                if any(word.endswith("privsep-helper") for word in argv):
                    helpers[argv[argv.index("--privsep_context") + 1]] += 1
                else:
                    strays.append((name, pid, argv[:4]))
    assert strays == []
    assert max(helpers.values(), default=1) == 1
    guests = [argv[argv.index("-uuid") + 1] for argv in running.values() if Path(argv[0]).name.startswith("qemu-")]
    assert sorted(guests) == sorted(ids.values())


# --- packets all the while


class Pings:
    """ping through the forwarder, five times a second, until it is stopped; what was answered and when."""

    def __init__(self, lab: Lab) -> None:
        words = ["ip", "netns", "exec", "ouchi-right", "ping", "-n", "-D", "-i", "0.2", TARGET]
        self._lab = lab
        self._gate = lab.start_program(words)
        self.answers: list[tuple[float, int]] = []
        """Seconds since the epoch, number."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._gate.stdout
        for line in self._gate.stdout:
            if found := re.match(r"\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+)", line):
                self.answers.append((float(found[1]), int(found[2])))

    def mark(self, seconds: float = 10) -> int:
        """Wait for an answer from now on; the place in :attr:`answers` that everything later is behind."""
        now = time.time()
        wait_until("an answer to ping", lambda: not (self.answers and self.answers[-1][0] > now), seconds)
        return len(self.answers) - 1

    def lost(self, mark: int) -> int:
        """How many were sent and not answered since then, up to an answer of now."""
        end = self.mark() + 1
        numbers = {number for _, number in self.answers[mark:end]}
        return max(numbers) - min(numbers) + 1 - len(numbers)

    def outage(self, mark: int) -> float:
        """The longest time without an answer since then, in seconds."""
        end = self.mark() + 1
        times = sorted(at for at, _ in self.answers[mark:end])
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def stop(self) -> None:
        self._lab.signal(self._gate, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._gate.wait(timeout=10)
        self._gate.kill()
        self._gate.wait()
        self._thread.join(timeout=5)
        for stream in (self._gate.stdout, self._gate.stderr):
            if stream:
                stream.close()


@pytest.fixture
def pings(host: Host) -> Iterator[Pings]:
    found = Pings(host.lab)
    try:
        found.mark()
        yield found
    finally:
        found.stop()


# --- up, killed at every stage


def test_up_killed_in_every_stage(host: Host) -> None:
    assert sorted(host.killed) == sorted(STAGES)
    assert assert_one_of_each(host) == host.ids
    code, parts = status(host.lab)
    assert (code, amiss(parts)) == (0, [])


# --- daemons


def kill_and_see(lab: Lab, name: str) -> float:
    """Kill a service's process; seconds until ``status`` says that it was restarted and does its work.

    By then nothing is left of what the killed one had started.
    """
    (old,), all_old = mains(lab)[name], lab.services()[name]
    kill(lab, old)

    def probe() -> str:
        if left := {pid: lab.processes().get(pid) for pid in lab.services().get(name, ()) if pid in all_old}:
            return f"orphans: {left}"
        _, parts = status(lab)
        part = part_of(parts, name)
        (service,) = [one for one in part["services"] if one["name"] == name]
        back = part["ok"] and service["restarts"] and service["pid"] != old
        return "" if back else f"{part}\n{logs(lab, f'ouchi logs {name}')}"

    return wait_until(f"{name} is back", probe, BACK_SECONDS)


def test_control_plane_daemons_come_back(host: Host, pings: Pings) -> None:
    """One after another; packets pass meanwhile."""
    lost = {}
    for name in CONTROL:
        mark = pings.mark()
        seconds = kill_and_see(host.lab, name)
        lost[name] = pings.lost(mark)
        print(f"{name}: back after {seconds:.1f} s, {lost[name]} of {len(pings.answers) - mark} pings lost")
    print(f"all healthy after further {wait_until_healthy(host.lab):.1f} s")
    assert {name: count for name, count in lost.items() if count > HANDFUL} == {}
    assert_one_process_each(host.lab, host.ids)


def kill_worker_and_see(lab: Lab, name: str) -> float:
    """Kill what gunicorn has started; seconds until gunicorn has started another, which answers."""
    (master,) = mains(lab)[name]
    (worker,) = [pid for pid in lab.services()[name] if pid != master]
    kill(lab, worker)

    def probe() -> str:
        alive = lab.services()[name]
        if master not in alive or worker in alive or len(alive) != 2:
            return f"{alive}"
        page = part_of(status(lab)[1], name)
        return "" if page["ok"] else f"{page}"

    return wait_until(f"the worker of {name} is back", probe, BACK_SECONDS)


def test_workers_come_back(host: Host, pings: Pings) -> None:
    """Those are no service of the supervisor's."""
    mark = pings.mark()
    for name in APIS:
        print(f"worker of {name}: back after {kill_worker_and_see(host.lab, name):.1f} s")
    print(f"all healthy after further {wait_until_healthy(host.lab):.1f} s")
    assert pings.lost(mark) <= HANDFUL
    assert_one_process_each(host.lab, host.ids)


@pytest.mark.parametrize("name", SWITCH)
def test_switch_comes_back(host: Host, pings: Pings, name: str) -> None:
    """With its guests reconnected."""
    mark = pings.mark()
    seconds = kill_and_see(host.lab, name)
    pings.mark(BACK_SECONDS)
    lost, outage = pings.lost(mark), pings.outage(mark)
    print(f"{name}: back after {seconds:.1f} s, no packets for {outage:.1f} s, {lost} pings lost")
    assert outage < BACK_SECONDS
    print(f"all healthy after further {wait_until_healthy(host.lab):.1f} s")
    assert_one_switch(host.lab)


def test_packets_pass_a_frozen_control_plane(host: Host, pings: Pings) -> None:
    services = host.lab.services()
    frozen = [pid for name, pids in services.items() if name not in SWITCH for pid in pids]
    mark = pings.mark()
    kill(host.lab, *frozen, how="STOP")
    try:
        time.sleep(10)
        sent, lost = pings.mark() - mark, pings.lost(mark)
    finally:
        kill(host.lab, *frozen, how="CONT")
    print(f"frozen: {lost} lost, {sent} answered; healthy after {wait_until_healthy(host.lab):.1f} s")
    assert lost == 0
    assert sent >= 40


# --- the supervisor, a guest


def test_supervisor(host: Host, pings: Pings) -> None:
    """Without it everything runs on; ``up`` starts it all afresh, and the guests stay."""
    mark = pings.mark()
    qemu = guests(host.lab)
    kill(host.lab, *host.lab.services()["supervisord"])
    code, parts = status(host.lab)
    assert code == 1
    assert [part["state"] for part in parts if part["part"] == "supervisord"] == ["not running"]
    assert {part_of(parts, name)["state"] for name in (*SWITCH, *CONTROL)} == {"unsupervised"}
    output = host.lab.ouchi("status", check=False).stdout
    assert re.search(r"supervisord.*not running", output), output
    assert "ouchi up" in output
    assert pings.lost(mark) <= HANDFUL
    up(host.lab)
    assert assert_one_of_each(host) == host.ids
    assert guests(host.lab) == qemu
    print(f"no packets for {pings.outage(mark):.1f} s")
    code, parts = status(host.lab)
    assert (code, amiss(parts)) == (0, [])


def guests(lab: Lab) -> dict[str, int]:
    """QEMU's processes by server ID."""
    running = lab.processes().items()
    return {argv[argv.index("-uuid") + 1]: pid for pid, argv in running if Path(argv[0]).name.startswith("qemu-")}


def test_guest(host: Host, pings: Pings) -> None:
    """A server whose QEMU was killed is the same server again after ``up``."""
    mark = pings.mark()
    kill(host.lab, guests(host.lab)[host.ids["forwarder"]])
    code, parts = status(host.lab)
    assert code == 1
    assert [words for words in amiss(parts) if "forwarder" in words]
    assert not [words for words in amiss(parts) if "endpoint" in words]
    up(host.lab)
    pings.mark(BACK_SECONDS)
    print(f"no packets for {pings.outage(mark):.1f} s")
    assert assert_one_of_each(host) == host.ids
    code, parts = status(host.lab)
    assert (code, amiss(parts)) == (0, [])


# --- down and up, killed at random moments


def down_killed(host: Host, chance: random.Random, *words: str) -> None:
    """``down`` killed a few times, then to its end."""
    longest = 6.0
    for _ in range(DOWN_KILLS):
        seconds = chance.uniform(0.3, longest)
        if not killed_after(host.lab, seconds, "down", *words):
            print(f"down ended within {seconds:.1f} s")
            longest = seconds
            break
        print(f"down killed after {seconds:.1f} s")
    host.lab.ouchi("down", *words, timeout=120)


def test_down_killed(host: Host) -> None:
    print(f"seed {SEED}")
    down_killed(host, random.Random(SEED))
    assert (found := host.changes()) == {}, json.dumps(found, indent=1)
    assert json.loads(host.lab.path("/var/lib/ouchi/journal.json").read_text())["records"] == []


def test_up_killed_at_random(host: Host) -> None:
    """From nothing but what can be built again. The moments: from 0.5 s to 60 s, more of them early."""
    print(f"seed {SEED}: again with OUCHI_TEST_SEED={SEED}")
    host.lab.run(["find", "/var/lib/ouchi", "-mindepth", "1", "-maxdepth", "1", "!", "-name", "cache",
                  "-exec", "rm", "-rf", "{}", "+"])  # fmt: skip
    host.lab.run(["rm", "-rf", "/var/log/ouchi"])
    chance, longest, killed, began = random.Random(SEED + 1), 60.0, 0, time.monotonic()
    while killed < UP_KILLS:
        seconds = 0.5 * (longest / 0.5) ** chance.random()
        before = time.monotonic()
        if killed_after(host.lab, seconds, "up", "--json"):
            killed += 1
            print(f"up killed after {seconds:.1f} s")
        else:
            longest = max(1.0, time.monotonic() - before)
            print(f"up ended after {longest:.1f} s, before its time")
    host.summary = up(host.lab)
    print(f"complete after {time.monotonic() - began:.1f} s altogether")
    ids = assert_one_of_each(host)
    assert set(ids.values()).isdisjoint(host.ids.values()), "from nothing"
    code, parts = status(host.lab)
    assert (code, amiss(parts)) == (0, [])


def test_purge_killed(host: Host) -> None:
    print(f"seed {SEED}")
    down_killed(host, random.Random(SEED + 2), "--purge")
    assert (found := host.changes()) == {}, json.dumps(found, indent=1)
    assert not host.lab.path("/var/lib/ouchi").exists()
    assert not host.lab.path("/var/log/ouchi").exists()
