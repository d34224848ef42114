"""What OVS says of a measured bridge, as OVS 3.1 said it."""

from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.measure.paths.ovs import OvsDatapath, parse_addresses, parse_flows, parse_pmd
from ouchi.measure.paths.path import PATHS

FDB = """\
 port  VLAN  MAC                Age
    4     2  02:0c:00:00:00:02    0
    3     1  02:0c:00:00:00:01    0
LOCAL     0  4e:1b:7c:00:00:01   12
    1     1  02:0c:00:00:00:02    0
"""
FLOWS = """\
flow-dump from pmd on cpu core: 0
recirc_id(0),in_port(bench-right),packet_type(ns=0,id=0),eth(src=02:0c:00:00:00:02,dst=02:0c:00:00:00:01),\
eth_type(0x0800),ipv4(frag=no), packets:20091042, bytes:1205462520, used:0.199s, actions:bench-guest1
recirc_id(0),in_port(bench-left),packet_type(ns=0,id=0),eth(src=02:0c:00:00:00:01,dst=02:0c:00:00:00:02),\
eth_type(0x0800),ipv4(frag=no), packets:20079802, bytes:1204788120, used:0.199s, actions:bench-guest0
recirc_id(0),in_port(bench-guest0),packet_type(ns=0,id=0),eth(src=02:0c:00:00:00:02,dst=33:33:00:00:00:02),\
eth_type(0x86dd),ipv6(frag=no), packets:1, bytes:70, used:3.2s, actions:ouchi-bench,bench-left
recirc_id(0),in_port(bench-guest1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no), packets:3, bytes:180, \
used:never, actions:drop
"""
PMD = """\
pmd thread numa_id 0 core_id 0:
  packets received: 2500
  packet recirculations: 0
  avg. datapath passes per packet: 1.00
  idle cycles: 1000 (10.00%)
  processing cycles: 9000 (90.00%)
main thread:
  packets received: 7
"""


def test_addresses_are_told_by_port_and_vlan() -> None:
    assert parse_addresses(FDB) == {("4", 2), ("3", 1), ("1", 1)}
    assert parse_addresses("") == set()


def test_flows_that_lead_from_one_port_to_one_other_are_told() -> None:
    assert parse_flows(FLOWS) == {
        ("bench-right", "bench-guest1"),
        ("bench-left", "bench-guest0"),
        ("bench-guest1", "drop"),
    }


def test_a_pmd_is_as_busy_as_its_cycles_say() -> None:
    before, after = {"ports": {}, "pmd": {}}, {"ports": {}, "pmd": parse_pmd(PMD)}
    datapath = OvsDatapath(machine=LocalMachine(), instance=Instance(), path=PATHS["v2v"], folder="/run/bench")
    spent = datapath.delta(before, after)["pmd"]
    assert list(spent) == ["pmd_0"]
    assert (spent["pmd_0"]["busy"], spent["pmd_0"]["cycles_per_packet"]) == (0.9, 4)
