"""The endpoints' wire: what was sent, arrived and lost on each hop, in the output of the real programs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

from hypothesis import given as giving
from hypothesis import strategies as st

from ouchi.checks.model import Result
from ouchi.checks.wire import judge_hops, own_wire
from ouchi.core.instance import Instance
from ouchi.live.host import SWITCH, Texts, parse_live, script
from ouchi.live.wire import Counters, Hop, Reading, hops, parse, parse_hops
from tests.live import case

RECORDED = """\
space ouchi-right 1408 72551 0
p_raw 0      0      [0]:*           * skmem:(r0,rb212992,t0,tb212992,f0,w0,o0,bl0,d0)
p_raw 0      0        *:ouchi-near0  * skmem:(r0,rb212992,t0,tb212992,f0,w0,o176,bl0,d0)
p_raw 0      0        *:ouchi-end0  * skmem:(r0,rb212992,t0,tb212992,f0,w0,o176,bl0,d509)
netdev@ovs-netdev:
  lookups: hit:44 missed:11 lost:0
  flows: 0
  port 3: ouchi-end0
    RX packets:72552 errors:0 dropped:0 overruns:0 frame:0
    TX packets:1408 errors:0 dropped:0 aborted:0 carrier:0
    collisions:0
    RX bytes:109314889 (104.3 MiB)  TX bytes:95206 (93.0 KiB)
  port 8: vhu4bae29e9-75 (dpdkvhostuserclient: configured_rx_queues=1, mtu=1500)
    RX packets:7 errors:? dropped:0 overruns:? frame:?
    TX packets:90 errors:0 dropped:2 aborted:? carrier:?
  port 9: vhu11561ab9-e1 (dpdkvhostuserclient: configured_rx_queues=1, mtu=1500)
    RX packets:? errors:? dropped:? overruns:? frame:?
    TX packets:? errors:? dropped:? aborted:? carrier:?
"""


def test_what_a_packet_socket_dropped_has_not_arrived() -> None:
    """Open vSwitch counts those frames as received: its counters of a system port are the device's."""
    reading = parse(RECORDED)
    assert reading.sockets["ouchi-end0"] == 509
    found = {hop.name: hop for hop in hops(Reading(), reading, ("ouchi-right",))}
    assert found["ouchi-right eth0 → ouchi-end0"].lost == 72551 - (72552 - 509)
    assert found["ouchi-end0 → ouchi-right eth0"].lost == 0
    assert found["vhu4bae29e9-75 → guest"] == Hop("vhu4bae29e9-75 → guest", 92, 90, own=False)
    assert "vhu11561ab9-e1 → guest" not in found, "a port without a guest has no counters"


def test_lost_frames_are_a_finding() -> None:
    assert judge_hops((Hop("a", 3, 3, own=True), Hop("b", 9, 2, own=False))).result is Result.OK
    (problem,) = judge_hops((Hop("a", 3, 2, own=True),)).problems
    assert (problem.finding.where, problem.finding.found) == ("a", "3 sent, 2 arrived")


def test_doctor_knows_what_up_counted() -> None:
    given = case("healthy")
    assert own_wire.evaluate(given.live, given.target) is None, "no verification yet"
    lossy = (Hop("a", 3, 2, own=True),)
    switch = replace(given.live.switch, hops=parse_hops(json.dumps([asdict(hop) for hop in lossy])))
    seen = own_wire.evaluate(replace(given.live, switch=switch), given.target)
    assert seen == judge_hops(lossy)


def test_the_script_shows_what_follows_a_file_without_a_last_newline(tmp_path: Path) -> None:
    hop = Hop("a", 3, 2, own=True)
    (tmp_path / "ovs-vswitchd.pid").write_text("4194305\n")  # above every process's number
    (tmp_path / "wire.json").write_text(json.dumps([asdict(hop)]))
    words = ("sh", "-c", script(SWITCH), SWITCH, str(tmp_path), "/nowhere", "/nowhere", "/nowhere")
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout
    switch = parse_live(Texts({SWITCH: text}), Instance()).switch
    assert (switch.pid, switch.hops) == (4194305, (hop,))


NUMBERS = st.integers(0, 10**9)


@giving(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_of_frames_between_two_readings_each_has_arrived_or_is_lost(
    base: int, sent: int, lost: int, socket: int
) -> None:
    lost, socket = min(lost, sent), min(socket, sent)
    before = Reading(ports={name: Counters(base, base) for name in ("ouchi-far0", "ouchi-near0")})
    after = Reading(
        ports={"ouchi-far0": Counters(base, base + sent), "ouchi-near0": Counters(base + sent - lost, base)},
        sockets={"ouchi-near0": socket},
    )
    hop = next(hop for hop in hops(before, after, ("ouchi-right",)) if hop.name == "ouchi-far0 → ouchi-near0")
    assert (hop.sent, hop.lost) == (sent, lost + socket)


@giving(st.text())
def test_any_text_is_accepted(text: str) -> None:
    parse(text)
    parse_hops(text)
