"""The kernel's bridge in a lab: the generator and iperf3 through it, and what is left of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab import Lab

BEGIN = """
import json, sys, time
from dataclasses import asdict
from ouchi.clients import iperf
from ouchi.measure.paths import kernel_bridge
from ouchi.measure.paths.datapath import subtract
from ouchi.measure.paths.kernel_bridge import KernelBridge
from ouchi.core.instance import Instance
from ouchi.steps.journal import Journal
from ouchi.machine import processes
from ouchi.machine.local import LocalMachine
from ouchi.measure.generator import build
from ouchi.measure.request import BenchRequest
from ouchi.measure.runs.kernel_comparison import udp_payload, udp_result
from ouchi.measure.generator.process import Generator, RoutedStream
from ouchi.measure.paths.open import SERVICE
from ouchi.measure.paths.traffic import read_trial

machine, instance = LocalMachine(), Instance()
folder = f"{instance.run}/bench"
for each in (folder, instance.state):
    machine.make_folder(each)
journal = Journal(machine, instance.state)
marks = {**instance.environment, processes.SERVICE_MARK: SERVICE}


def send(size, pps, both, seconds):
    "What two directions, or one, sent and received, and what the devices counted meanwhile."
    bridge = KernelBridge(machine, instance)
    bridge.create()
    program = build.build(machine, instance, lambda text: None)
    with Generator(machine, program, folder, (0, 1), env=marks) as generator:
        for end in kernel_bridge.ENDS:
            generator.open(end, bridge.dpdk_device(end))
        request = BenchRequest(path_name="kernel", bidirectional=both)
        flows = [
            RoutedStream(request.stream(number, size), *ports)
            for number, ports in enumerate(request.directions)
        ]
        generator.load(flows)
        before = bridge.counters()
        print("sending", file=sys.stderr, flush=True)
        told = generator.run([pps] * len(flows), seconds=seconds)
        counted = subtract(before, bridge.counters())
    trial = read_trial(told, flows, pps=pps * len(flows), seconds=seconds)
    streams = {one.tx_port: {"sent": one.sent, "received": one.received, "corrupt": one.corrupt} for one in trial.streams}
    return {"streams": streams, "foreign": trial.foreign, "counted": counted}


def tcp(hosts, seconds=1):
    "iperf3 by TCP from the first host to the second."
    client, server = hosts
    with iperf.one_server(machine, (*server.prefix, "taskset", "-c", "1"), server.address, log=f"{folder}/iperf3.log", env=marks):
        return iperf.measure_tcp(machine, client.prefix, server.address, seconds=seconds, env=marks)


def udp(hosts, size, mtu=1500, cpus=(0, 1)):
    "iperf3 by UDP with frames of a size."
    client, server = ((*host.prefix, "taskset", "-c", str(cpu)) for host, cpu in zip(hosts, cpus))
    payload, address = udp_payload(size, mtu), hosts[1].address
    with iperf.one_server(machine, server, address, log=f"{folder}/iperf3.log", env=marks):
        found = iperf.measure_udp(machine, client, address, seconds=1, payload_bytes=payload, env=marks)
    return udp_result(str(size), found, size).figures


def tidy():
    processes.end(instance.name, {SERVICE}, polite_seconds=3)
    KernelBridge(machine, instance).remove()
"""


@pytest.fixture(scope="module", autouse=True)
def pages(lab: Lab) -> None:
    """Memory for the generator, beside what others have; the lab puts the machine's count back at its end."""
    lab.run(["sh", "-c", "echo $(($(cat /proc/sys/vm/nr_hugepages) + 200)) > /proc/sys/vm/nr_hugepages"])


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab) -> Iterator[None]:
    """After each test there is nothing of it: no device, namespace or process, and nothing in the journal."""
    yield
    found = left(lab)
    if any(found.values()):  # not in the way of the next test
        lab.run(script("tidy()"))
    assert found == {"devices": [], "namespaces": [], "journal": []}
    assert not lab.services()
    assert not [argv for argv in lab.processes().values() if "iperf3" in " ".join(argv)]


def left(lab: Lab) -> dict[str, list[str]]:
    devices = [link["ifname"] for link in json.loads(lab.run(["ip", "-json", "link", "show"]).stdout)]
    journal = json.loads(lab.path("/var/lib/ouchi/journal.json").read_text())["records"]
    return {
        "devices": [name for name in devices if name.startswith("ouchi-")],
        "namespaces": lab.run(["ip", "netns", "list"]).stdout.split(),
        "journal": [record["key"] for record in journal if record["kind"] == "device"],
    }


def inside(lab: Lab, code: str) -> Any:
    """What a program that begins with :data:`BEGIN` prints as JSON."""
    return json.loads(lab.run(script(code), timeout=120).stdout)


def script(code: str) -> list[str]:
    return [sys.executable, "-c", f"{BEGIN}\n{code}"]


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("size", [64, 1518])
def test_at_a_low_rate_all_arrives_and_is_counted(lab: Lab, size: int, both: bool) -> None:
    response = inside(lab, f"print(json.dumps(send('{size}', 5000.0, {both}, 1.0))); tidy()")
    assert len(response["streams"]) == (2 if both else 1)
    assert response["foreign"] == 0
    counted = response["counted"]
    for go, come in (("left", "right"), ("right", "left")):
        one = response["streams"].get(go, {"sent": 0, "received": 0, "corrupt": 0})
        assert one["received"] == one["sent"]
        assert (
            (1500 if go in response["streams"] else 0) <= one["sent"] <= (5000 if go in response["streams"] else 0)
        )  # held up
        assert one["corrupt"] == 0
        way = [(f"ouchi-krn-{go}", "tx"), (f"ouchi-{go}", "rx"), (f"ouchi-{come}", "tx"), (f"ouchi-krn-{come}", "rx")]
        for name, what in way:
            assert counted[name][f"{what}_packets"] == one["sent"], (name, what)
            assert counted[name][f"{what}_bytes"] == one["sent"] * (size - 4), (name, what)
    assert not any(value for each in counted.values() for key, value in each.items() if key.endswith("drops"))


def test_as_much_as_goes(lab: Lab) -> None:
    """Whatever is lost, the devices have carried what the generator calls sent."""
    response = inside(lab, "print(json.dumps(send('64', 0.0, True, 1.0))); tidy()")
    for go, come in (("left", "right"), ("right", "left")):
        one = response["streams"][go]
        assert one["sent"] > 10_000
        assert one["received"] <= response["counted"][f"ouchi-krn-{come}"]["rx_packets"]
        assert response["counted"][f"ouchi-krn-{go}"]["tx_packets"] <= one["sent"]


@pytest.mark.parametrize(("size", "mtu"), [(64, 1500), (1518, 1500), (9018, 9000)])
def test_iperf3_gives_figures_of_the_frames_requested_for(lab: Lab, size: int, mtu: int) -> None:
    code = f"""
bridge = KernelBridge(machine, instance, {mtu})
hosts = bridge.create_hosts()
over_tcp = tcp(hosts)
before = bridge.counters()
over_udp = udp(hosts, {size}, {mtu})
counted = subtract(before, bridge.counters())
tidy()
print(json.dumps({{"tcp": asdict(over_tcp), "udp": over_udp, "counted": counted}}))
"""
    response = inside(lab, code)
    tcp, udp, counted = response["tcp"], response["udp"], response["counted"]
    assert tcp["received_bps"] > 1e6
    assert (udp["protocol"], udp["frame_size"]) == ("udp", size)
    assert 1000 < udp["received"] + udp["lost"] <= udp["sent"]
    assert udp["received_bps"] == pytest.approx(udp["received"] / udp["seconds"] * size * 8)
    sent = counted["ouchi-krn-left"]
    assert udp["sent"] <= sent["tx_packets"] <= udp["sent"] + 100  # the connection beside it
    assert sent["tx_bytes"] / sent["tx_packets"] == pytest.approx(size - 4, abs=1 + size / 100)
    assert counted["ouchi-right"]["tx_packets"] <= sent["tx_packets"]


def test_what_iperf3_states_is_reported(lab: Lab) -> None:
    code = """
from ouchi.core.errors import OuchiError
hosts = KernelBridge(machine, instance).create_hosts()
said = []
for size, cpus in ((9018, (0, 1)), (64, (999, 1)), (64, (0, 999))):
    try:
        udp(hosts, size, cpus=cpus)
    except OuchiError as problem:
        said.append([type(problem).__name__, str(problem)])
tidy()
print(json.dumps(said))
"""
    size, client, server = inside(lab, code)
    assert size[0] == "BadInput"
    assert client[0] == server[0] == "Failed"
    assert "affinity" in client[1]
    assert "affinity" in server[1]


@pytest.mark.parametrize("again", ["the next run", "down"])
def test_after_a_kill_nothing_is_in_the_way(lab: Lab, again: str) -> None:
    gate = lab.start_program(script("send('64', 5000.0, True, 60.0)"))
    assert gate.stderr
    assert gate.stderr.readline().strip() == "sending"
    lab.kill9(gate)
    assert left(lab)["devices"]
    assert left(lab)["journal"]
    if again == "down":
        lab.ouchi("down", timeout=120)
        return
    response = inside(lab, "tidy(); print(json.dumps(send('64', 5000.0, True, 0.5))); tidy()")
    assert [one["sent"] - one["received"] for one in response["streams"].values()] == [0, 0]


def test_after_a_killed_iperf3_the_next_run_measures(lab: Lab) -> None:
    code = """
hosts = KernelBridge(machine, instance).create_hosts()
tcp(hosts, {seconds})
"""
    gate = lab.start_program(script(code.format(seconds=60)))
    deadline = time.monotonic() + 30
    while "--client" not in str(lab.processes()):
        assert gate.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    lab.kill9(gate)
    assert len(left(lab)["namespaces"]) >= 3
    lab.run(script(f"tidy()\n{code.format(seconds=1)}\ntidy()"))
