"""Paths, what each is made of, and who runs where."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.measure.paths.cpus import Placement, choose_placement
from ouchi.measure.paths.memory import GENERATOR_MIB, extra_hugepages
from ouchi.measure.paths.path import PATHS, GuestKind, mac_of
from ouchi.measure.paths.wires import Wire
from ouchi.measure.request import BenchRequest
from ouchi.measure.search.goals import NDR
from ouchi.plan import Plan, Pools, make_plan
from tests.plans import facts_of, site_with, target_of


def plan_of(*dedicated: int, host: tuple[int, ...] = (0,), pmd: tuple[int, ...] = (1,)) -> Plan:
    plan = make_plan(site_with(), facts_of("vm-8-cpus"))
    return replace(plan, pools=Pools(host, pmd, dedicated, host))


@pytest.mark.parametrize(
    ("name", "ports", "guests", "directions"),
    [
        ("loop", (), (), 1),
        ("v2v", ("left", "right"), (), 2),
        ("pvp", ("left", "right", "guest0", "guest1"), (("guest0", "guest1"),), 2),
        (
            "pvvp",
            ("left", "right", "guest0", "guest1", "guest2", "guest3"),
            (("guest0", "guest1"), ("guest2", "guest3")),
            2,
        ),
        ("p2p", ("left", "right"), (), 2),
        ("kernel", ("left", "right"), (), 2),
    ],
)
def test_a_path_has_its_ports(name: str, ports: tuple[str, ...], guests: object, directions: int) -> None:
    path = PATHS[name]
    assert (path.ports, path.guests, len(path.directions)) == (ports, guests, directions)
    assert path.through_ovs == (name not in ("loop", "kernel"))


def test_over_one_wire_frames_come_back_the_way_they_went() -> None:
    one = PATHS["p2p"].over_wires(1)
    assert (one.links, one.ports, one.directions) == ((("left", "left"),), ("left",), (("left", "left"),))
    assert PATHS["p2p"].over_wires(2) == PATHS["p2p"]
    assert PATHS["v2v"].over_wires(1) == PATHS["v2v"]


def test_the_chain_of_links_leads_from_left_to_right() -> None:
    for path in PATHS.values():
        at = "left"
        for number, (one, other) in enumerate(path.links):
            assert one == at
            inside = [far for near, far in path.guests if near == other]
            at = inside[0] if inside else other
            assert (at == "right") == (number == len(path.links) - 1)


def test_memory_is_where_the_packet_buffers_are() -> None:
    """Node 0 has the pages of ovs-vswitchd's main thread alone, and comes first."""
    plan = make_plan(site_with("nics: [{nic: ens4f0, physnet: physnet1}]"), facts_of("dual-socket-nic-on-node-1"))
    assert [need.node for need in plan.hugepages] == [0, 1]
    assert (plan.switch_pages.node, choose_placement(plan, 0, directions=2, guests=0).node) == (1, 1)


def test_control_threads_are_where_there_is_memory() -> None:
    """DPDK makes the data that all ports share on the main lcore's node; the one of CPU 0 has no memory here."""
    target = target_of("threadripper-3960x-memoryless")
    assert 0 in target.plan.pools.host
    assert BenchRequest().placement(target).main == min(target.switch_cpus) == 6


@pytest.mark.parametrize(
    ("dedicated", "guests", "workers", "for_guests"),
    [
        ((2, 3, 4, 5), 2, (2, 3), (4, 5)),
        ((2, 3, 4), 1, (2, 3), (4,)),
        ((2, 3), 1, (2,), (3,)),
        ((2, 3), 2, (2,), (3, 3)),
        ((2,), 1, (2,), (2,)),
        ((2,), 0, (2,), ()),
        ((), 1, (0,), (0,)),
    ],
)
def test_who_runs_where(
    dedicated: tuple[int, ...], guests: int, workers: tuple[int, ...], for_guests: tuple[int, ...]
) -> None:
    placement = choose_placement(plan_of(*dedicated), 0, directions=2, guests=guests)
    shared = len({*workers, *for_guests}) < len(workers) + guests
    assert placement == Placement(0, workers, for_guests, realtime=shared and bool(dedicated))
    assert placement.shared == shared
    assert not choose_placement(plan_of(*dedicated), 0, directions=2, guests=guests, servers_running=True).realtime


@given(st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15), min_size=1), st.integers(0, 2))
def test_pmd_threads_are_left_alone_where_there_are_other_cpus(dedicated: set[int], pmd: set[int], guests: int) -> None:
    cpus = choose_placement(plan_of(*sorted(dedicated), pmd=tuple(sorted(pmd))), 0, directions=2, guests=guests)
    assert 1 <= len(cpus.workers) <= 2
    assert len(cpus.guests) == guests
    if dedicated - pmd:
        assert not {*cpus.workers, *cpus.guests} & pmd
        assert {*cpus.workers, *cpus.guests} <= dedicated


@pytest.mark.parametrize(
    ("sizes", "mtu"), [(("64",), 1500), (("64", "1518"), 1500), (("1519",), 9000), (("9000", "64"), 9000), (("imix",), 1500)]
)  # fmt: skip
def test_ports_take_the_largest_frame(sizes: tuple[str, ...], mtu: int) -> None:
    assert BenchRequest(sizes=sizes).mtu == mtu


def test_memory_grows_with_guests_frames_and_ports() -> None:
    plan = plan_of(2, 3, 4, 5)
    of = {name: extra_hugepages(plan, BenchRequest(path_name=name), 2048) for name in PATHS}
    assert of["loop"] == of["v2v"] == of["p2p"] == of["kernel"] == GENERATOR_MIB // 2
    assert of["v2v"] < of["pvp"] < of["pvvp"]
    assert extra_hugepages(plan, BenchRequest(sizes=("9000",)), 2048) > of["v2v"] + 100


@pytest.mark.parametrize("guest", ["vm", "testpmd"])
def test_each_program_has_pages_of_its_own(guest: GuestKind) -> None:
    assert extra_hugepages(plan_of(2, 3, 4, 5), BenchRequest(path_name="pvp", guest=guest), 1024 * 1024) == 2


@pytest.mark.parametrize(
    ("path", "guest", "macs"),
    [("pvp", "testpmd", (1, 0)), ("v2v", "vm", (1, 0)), ("pvp", "vm", (2, 3)), ("pvvp", "vm", (2, 5))],
)
def test_routed_frames_are_addressed_to_the_router(path: str, guest: GuestKind, macs: tuple[int, int]) -> None:
    request = BenchRequest(path_name=path, guest=guest)
    for direction in range(2):
        frame = request.stream(direction, "64").frames[0]
        assert frame[:6].hex(":") == mac_of(macs[direction])
        assert frame[6:12].hex(":") == mac_of(direction)


def test_a_request_is_described() -> None:
    request = BenchRequest(path_name="p2p", goals=(NDR,), wires=(Wire("0000:01:00.0", "0000:01:00.1"),))
    assert request.to_json()["wires"] == ["0000:01:00.0 – 0000:01:00.1"]
    assert request.to_json()["directions"] == 1
    assert not {"guest", "stream", "search"} & {*request.to_json()}
