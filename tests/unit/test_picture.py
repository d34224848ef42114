"""The picture: every CPU once and in its pool's colour, nothing over anything else, in any topology and both forms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ouchi.facts import Boot, Cpu, Distribution, Dpdk, Facts, L3Group, MemoryNode, Nic, Processor, Support, System
from ouchi.facts.nics import PcieLink
from ouchi.plan.values import GuestPlan, HugepageNeed, NicPlan, Plan, Pools
from ouchi.report.picture import terminal
from ouchi.report.picture.content import content_of
from ouchi.report.picture.cpus import guest_tag
from ouchi.report.picture.font_metrics import width_at_most
from ouchi.report.picture.shapes import Box, Measures, Picture
from ouchi.report.picture.style import PAINTS
from ouchi.report.picture.svg import document as svg
from ouchi.report.picture.svg import geometry
from ouchi.report.picture.terminal import picture_text
from tests.hosts import names
from tests.plans import facts_of, target_of

SVG = "{http://www.w3.org/2000/svg}"
POOLS = ("host", "pmd", "dedicated", "shared")
DRIVEN = Support(True, "net_i40e", "vfio-pci", False, "its driver is installed", 0)


def cpu(number: int, core: int, **more: object) -> Cpu:
    values: dict[str, object] = {
        "package": 0, "node": 0, "l2": -1, "l3": 0, "siblings": (number,), "kind": "", "max_khz": 3_000_000,
        "governor": "performance", "isolated": False, "online": True,
    }  # fmt: skip
    return Cpu(id=number, core=core, **(values | more))  # type: ignore[arg-type]


def nic(name: str, address: str = "0000:05:00.0", **more: object) -> Nic:
    values: dict[str, object] = {
        "driver": "i40e", "node": 0, "node_known": True, "mac": "", "up": True, "default_route": False,
        "addresses": (), "master": "", "session": False, "physical": True, "vendor": "8086", "device": "1572",
        "subsystem": "", "firmware": "", "speed_mbps": 10_000, "pcie": PcieLink(8.0, 8, 8.0, 8), "vfs_total": 0,
        "vfs_now": 0, "pf": "", "iommu_group": -1, "group_with": (), "rx_queues": 1, "tx_queues": 1,
    }  # fmt: skip
    return Nic(name=name, address=address, **(values | more))  # type: ignore[arg-type]


def host(cpus: Iterable[Cpu], nics: Iterable[Nic] = (), name: str = "host", nodes: Iterable[int] = (0,)) -> Facts:
    cpus = tuple(cpus)
    groups: dict[int, list[int]] = {}
    for one in cpus:
        if one.online and one.l3 >= 0:
            groups.setdefault(one.l3, []).append(one.id)
    return Facts(
        schema=2,
        cpus=cpus,
        l3=tuple(L3Group(tuple(group), 16384) for group in groups.values()),
        processor=Processor("AuthenticAMD", "A Processor of Some Model", "svm", True, ()),
        memory=tuple(MemoryNode(node, 32 * 1024 * 1024, 16 * 1024 * 1024, (), ()) for node in nodes),
        nics=tuple(nics),
        dpdk=Dpdk("22.11", (), "", ()),
        boot=Boot((), True, "", None, ""),
        ovs_version="3.1.0",
        system=System(name, "x86_64", "6.1", Distribution("", "", "", ""), "systemd", "", True, 0, True),
    )


def plan(pools: Pools, guests: Sequence[GuestPlan] = (), nics: Sequence[NicPlan] = (), **more: object) -> Plan:
    values: dict[str, object] = {
        "schema": 2, "name": "cache", "isolated": (), "overlapped": pools.overlapped,
        "hugepages": (HugepageNeed(0, 2048, 512),), "kernel_args": (), "ovs_other_config": {}, "nova": {},
        "alternatives": (), "reasons": (), "findings": (),
    }  # fmt: skip
    return Plan(pools=pools, guests=tuple(guests), nics=tuple(nics), **(values | more))  # type: ignore[arg-type]


def guest(name: str, cpus: Sequence[int], *, pinned: bool = True) -> GuestPlan:
    return GuestPlan(name, len(cpus), 4096, pinned, 0, tuple(cpus), "")


def role(of: Nic, role: str, rxqs: Sequence[int] = ()) -> NicPlan:
    return NicPlan(of.name, of.address, of.node, role, "physnet1", (), tuple(rxqs), DRIVEN, "")


def ryzen() -> tuple[Facts, Plan]:
    """The talk's host."""
    cpus = [cpu(i, i % 6, l3=0 if i % 6 < 3 else 3, siblings=(i % 6, i % 6 + 6)) for i in range(12)]
    nics = [nic("enp5s0f0", node_known=False), nic("enp6s0", "0000:06:00.0", node_known=False, default_route=True)]
    guests = [guest("endpoint", (3, 9)), guest("forwarder", (2, 8))]
    roles = [role(nics[0], "ovs-dpdk", (1, 7)), role(nics[1], "left alone")]
    pools = Pools((0, 6), (1, 7), (2, 3, 4, 5, 8, 9, 10, 11), (0, 6))
    return host(cpus, nics), plan(pools, guests, roles, isolated=(1, 2, 3, 4, 5, 7, 8, 9, 10, 11))


def hybrid() -> tuple[Facts, Plan]:
    """Six cores with two threads, eight with one in two clusters between the polled ones and the NIC."""
    cpus = [
        cpu(i, i // 2, l2=i // 2 * 2, siblings=(i // 2 * 2, i // 2 * 2 + 1), kind="performance", max_khz=4_800_000)
        for i in range(12)
    ]
    cpus += [cpu(i, i, l2=i // 4 * 4, kind="efficient", max_khz=3_500_000) for i in range(12, 20)]
    pools = Pools((0, 1, 18, 19), (2, 3), tuple(range(4, 18)), (0, 1, 18, 19))
    pnic = nic("enp1s0")
    return host(cpus, [pnic]), plan(pools, [guest("router", (4, 5, 6, 7))], [role(pnic, "ovs-dpdk", (2, 3, 2, 3))])


def far() -> tuple[Facts, Plan]:
    """Two sockets; a NIC on node 1, one queue of which is polled from node 0."""
    cpus = [cpu(i, i // 2, package=i % 2, node=i % 2, l3=i % 2) for i in range(16)]
    pnic = nic("ens7", "0000:af:00.0", node=1)
    pools = Pools((0, 1), (2, 3), tuple(range(4, 16)), (0, 1))
    return host(cpus, [pnic], nodes=(0, 1)), plan(pools, nics=[role(pnic, "ovs-dpdk", (2, 3))])


def small() -> tuple[Facts, Plan]:
    """A VM of two CPUs: the PMD thread shares CPU 0 with everything else."""
    cpus = [cpu(i, i, l3=-1, max_khz=0) for i in range(2)]
    return host(cpus), plan(Pools((0,), (0,), (1,), (0,)), [guest("one", (0,), pinned=False), guest("two", (1,))])


def lost() -> tuple[Facts, Plan]:
    """Three CPUs are offline: of CPU 3 the kernel still names the core, of the others nothing."""
    cpus = [cpu(i, i, siblings=(i,)) for i in range(3)]
    cpus += [cpu(3, 2, l3=-1, online=False), *(cpu(i, -1, package=-1, l3=-1, online=False) for i in (4, 5))]
    return host(cpus), plan(Pools((0,), (1,), (2,), (0,)), isolated=(1, 2))


def huge() -> tuple[Facts, Plan]:
    """1024 CPUs and 64 nics."""
    cpus = [
        cpu(
            i,
            i % 512,
            package=i % 512 // 128,
            node=i % 512 // 64,
            l3=i % 512 // 16 * 16,
            siblings=(i % 512, i % 512 + 512),
        )
        for i in range(1024)
    ]
    nics = [nic(f"ens{i}", f"0000:{i:02x}:00.0", node=i % 8) for i in range(64)]
    pmd = tuple(sorted(64 * node + 2 + more for node in range(8) for more in (0, 512)))
    first = (0, 1, 512, 513)
    pools = Pools(first, pmd, tuple(i for i in range(1024) if i not in {*first, *pmd}), first)
    roles = [role(pnic, "ovs-dpdk", (64 * pnic.node + 2, 64 * pnic.node + 514)) for pnic in nics]
    guests = [guest(f"function-{i}", range(16 * i + 4, 16 * i + 12)) for i in range(30)]
    return host(cpus, nics, nodes=range(8)), plan(pools, guests, roles, isolated=pools.pmd)


HOSTS = {"ryzen": ryzen(), "hybrid": hybrid(), "far": far(), "small": small(), "lost": lost(), "huge": huge()}


# What is drawn, whatever the form.


def pools_of(found: Plan) -> dict[int, tuple[str, ...]]:
    numbers = {number for pool in POOLS for number in getattr(found.pools, pool)}
    return {number: tuple(pool for pool in POOLS if number in getattr(found.pools, pool)) for number in numbers}


def drawn_cpus(document: str) -> dict[int, ET.Element]:
    """The group of each CPU in the document; each is there once."""
    groups = [group for group in ET.fromstring(document).iter(f"{SVG}g") if group.get("class") == "thread"]
    counts = Counter(int(group.get("data-cpu", "")) for group in groups)
    assert set(counts.values()) <= {1}
    return {int(group.get("data-cpu", "")): group for group in groups}


def colours(group: ET.Element) -> tuple[str, ...]:
    """The pools in whose colours a CPU is drawn."""
    classes = [(shape.get("class") or "").split() for shape in group]
    return tuple(words[1] for words in classes if words[:1] == ["cpu"] and len(words) > 1)


def overlapping(boxes: Sequence[Box]) -> list[tuple[Box, Box]]:
    """Pairs that cover each other, by a sweep from the top."""
    found: list[tuple[Box, Box]] = []
    begun: list[tuple[int, int, int, Box]] = []
    for box in sorted(boxes, key=lambda box: box.y):
        x, right, y = box.x, box.right, box.y
        begun = [other for other in begun if other[2] > y]
        found += [(other, box) for its_x, its_right, _, other in begun if its_x < right and x < its_right]
        begun.append((x, right, box.bottom, box))
    return found


def check_geometry(picture: Picture) -> None:
    """Nothing outside the page, nothing over its like, everything inside what it belongs to."""
    page = Box("page", 0, 0, picture.width, picture.height)
    kinds: dict[str, list[Box]] = {}
    for box in picture.boxes:
        assert page.holds(box)
        assert box.width > 0
        assert box.height > 0
        kinds.setdefault(box.kind, []).append(box)
    for line in picture.lines:
        for (x, y), (to_x, to_y) in pairwise(line.points):
            assert x == to_x or y == to_y
            assert {0 <= x <= page.width, 0 <= to_x <= page.width, 0 <= y <= page.height} == {True}
    cores, cells, notes = (kinds.get(kind, []) for kind in ("core", "cpu", "note"))
    written = kinds.get("text", []) + kinds.get("chip", []) + kinds.get("swatch", [])
    assert overlapping(cells + notes + written) == []
    for kind in ("core", "cluster", "group", "nic"):
        assert overlapping(kinds.get(kind, [])) == []
    assert overlapping(cores + kinds.get("nic", [])) == []
    for one, other in overlapping(kinds.get("frame", []) + kinds.get("nic", [])):  # a node inside its socket
        assert one.holds(other) or other.holds(one)
    holders = {"cpu": "core", "note": "core", "core": "frame", "group": "frame", "chip": "nic"}
    for inner, outer in holders.items():
        held, boxes = kinds.get(inner, []), kinds.get(outer, [])
        inside = {
            id(inner) for around, inner in overlapping(boxes + held) if around.kind == outer and around.holds(inner)
        }
        assert inside >= {id(box) for box in held}


def check_text_fits(picture: Picture, measures_text: dict[str, int]) -> None:
    """No text is wider than its box, by the widest of common fonts."""
    for box in picture.boxes:
        style = {"cpu": "number", "note": "note", "chip": "chip", "swatch": "chip"}.get(box.kind, box.look)
        if box.text:
            width = width_at_most(box.text, measures_text[style], bold=style not in {"subtitle", "small"})
            assert width <= box.width, box


def sizes_in(document: str) -> dict[str, int]:
    return {style: int(size) for style, size in re.findall(r"\.t-(\w+)\{font-size:(\d+)px", document)}


def check_lines(picture: Picture) -> None:
    """A line to a queue touches no core, CPU or note, and no cluster but that of the core that it leads to."""
    boxes = [box for box in picture.boxes if box.kind in ("core", "cpu", "cluster", "note")]
    cores = [box for box in boxes if box.kind == "core"]
    for line in picture.lines:
        if line.look != "queue":
            continue
        end = line.points[-1]
        for box in boxes:
            if box.kind == "cluster" and box.x < end[0] < box.right and box.y < end[1] < box.bottom:
                continue  # its own core is in there
            inside = any(
                min(x, to_x) < box.right and max(x, to_x) > box.x and min(y, to_y) < box.bottom and max(y, to_y) > box.y
                for (x, y), (to_x, to_y) in pairwise(line.points)
            )
            assert not inside, (line, box)
        assert any(core.x < end[0] < core.right and core.bottom == end[1] for core in cores)


def check_svg(facts: Facts, found: Plan | None) -> None:
    document = svg(facts, found)
    picture = geometry(facts, found)
    check_geometry(picture)
    check_lines(picture)
    check_text_fits(picture, sizes_in(document))
    groups = drawn_cpus(document)
    assert groups.keys() == {one.id for one in facts.cpus}
    expected = pools_of(found) if found else {}
    for one in facts.cpus:
        assert colours(groups[one.id]) == (expected.get(one.id, ()) or idle(found)) * one.online
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in document
    assert not re.search(r"<script|<image|<foreignObject|href|url\(|@import|@font-face", document)


def idle(found: Plan | None) -> tuple[str, ...]:
    return ("idle",) if found else ()


def check_terminal(facts: Facts, found: Plan | None, width: int) -> None:
    text = picture_text(facts, found, width, colour=False)
    picture = terminal.geometry(content_of(facts, found), width)
    check_geometry(picture)
    assert picture.width <= width
    assert len(text.splitlines()) <= picture.height  # no line had to be wrapped
    assert "\x1b" not in text
    assert all(cell_len(line) <= width for line in text.splitlines())
    drawing = text.partition("\nh host ")[0]  # without the legend
    cells = re.findall(r"[\[(]([ 0-9A-Za-z*-]*[0-9][ 0-9A-Za-z*-]*)[\])]", drawing)
    words = Counter(" ".join(cells).split())
    expected = pools_of(found) if found else {}
    tags = {
        thread.cpu: thread.note.short
        for thread in content_of(facts, found).threads
        if thread.note and thread.note.of_guest
    }
    for one in facts.cpus:
        if not one.online:
            letters = "x"
        else:
            letters = "".join(pool[0] for pool in expected.get(one.id, ())) + tags.get(one.id, "")
            letters = letters or ("-" if found else "")
            letters += "*" * (one.id in found.isolated if found else one.isolated)
        assert words[f"{one.id}{letters}"] == 1, (one.id, letters, text)


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("planned", [True, False])
def test_each_host(name: str, planned: bool) -> None:
    facts, found = HOSTS[name]
    check_svg(facts, found if planned else None)
    check_terminal(facts, found if planned else None, 80)


@pytest.mark.parametrize("name", names())
def test_each_case(name: str) -> None:
    check_svg(facts_of(name), None)
    check_terminal(facts_of(name), None, 80)


@pytest.mark.parametrize("name", names())
def test_a_case_with_the_plan_that_it_gets(name: str) -> None:
    target = target_of(name)
    check_svg(target.facts, target.plan)
    check_terminal(target.facts, target.plan, 80)


@st.composite
def machines(draw: st.DrawFn) -> tuple[Facts, Plan | None]:
    """Machines of any shape, sensible or not, with pools drawn at random."""
    positions = draw(st.lists(st.tuples(*[st.integers(0, 2)] * 2, st.integers(-1, 3)), min_size=1, max_size=12))
    threads, hybrid_cores = draw(st.integers(1, 4)), draw(st.booleans())
    stride = draw(st.sampled_from([1, 7, 300]))
    cpus = []
    for core, (package, node, l3) in enumerate(positions):
        numbers = tuple(stride * (core + len(positions) * thread) for thread in range(threads))
        kind = "efficient" if core % 3 == 2 else "performance"
        for number in numbers:
            online = number == numbers[0] or draw(st.integers(0, 9)) > 0
            known = online or draw(st.booleans())
            cpus.append(
                cpu(
                    number,
                    core if known else -1,
                    package=package if known else -1,
                    node=node,
                    siblings=numbers if known else (number,),
                    l3=l3 * 100 if l3 >= 0 and online else -1,
                    l2=core // 4 * 4,
                    kind=kind if hybrid_cores else "",
                    isolated=draw(st.booleans()),
                    online=online,
                )
            )
    words = st.text(st.characters(codec="utf-8", exclude_characters="[]()"), max_size=30)
    nics = [
        nic(draw(words), f"0000:{bus:02x}:00.0", node=draw(st.integers(0, 3)), node_known=draw(st.booleans()))
        for bus in range(draw(st.integers(0, 7)))
    ]
    facts = host(sorted(cpus, key=lambda one: one.id), nics, draw(words), nodes=range(3))
    if draw(st.booleans()):
        return facts, None
    pools: dict[str, list[int]] = {pool: [] for pool in (*POOLS, "none")}
    online_cpus = [one.id for one in facts.cpus if one.online]
    for number in online_cpus:
        for pool in draw(
            st.sampled_from([["host"], ["pmd"], ["dedicated"], ["host", "shared"], ["host", "pmd", "shared"], ["none"]])
        ):
            pools[pool].append(number)
    free = list(pools["dedicated"])
    guests = []
    while free and draw(st.booleans()):
        taken, free = free[:3], free[3:]
        guests.append(guest(draw(words), taken))
    queues = st.lists(st.sampled_from(online_cpus), max_size=20)
    roles = [role(pnic, draw(st.sampled_from(["ovs-dpdk", "sriov", "left alone"])), draw(queues)) for pnic in nics]
    chosen = Pools(*(tuple(pools[pool]) for pool in POOLS))
    return facts, plan(chosen, guests, roles, isolated=tuple(sorted({*pools["pmd"], *pools["dedicated"]})))


def test_a_name_of_marks_alone_has_its_place() -> None:
    """An emoji's skin colour without the emoji: terminals count no column for it."""
    check_terminal(host([cpu(0, 0)], [nic("\U0001f3fb", "0000:01:00.0", node=0, node_known=True)], "h"), None, 80)


@given(machines(), st.integers(72, 130))
def test_any_machine(machine: tuple[Facts, Plan | None], width: int) -> None:
    check_svg(*machine)
    check_terminal(*machine, width)


@pytest.mark.parametrize("cpus", [1, 2, 3, 8, 31, 64, 129, 256, 500, 1024])
@pytest.mark.parametrize("group", [1, 4, 8, 2000])
def test_a_sheet_that_can_be_printed(cpus: int, group: int) -> None:
    picture = geometry(host(cpu(i, i, l3=i // group * group) for i in range(cpus)), None)
    check_geometry(picture)
    assert 0.6 <= picture.width / picture.height <= 4.2
    assert picture.width <= 5000


# What the drawing tells.


def test_the_document_speaks() -> None:
    tree = ET.fromstring(svg(*ryzen()))
    assert tree.get("role") == "img"
    title, words = tree[0], tree[1]
    assert (title.tag, words.tag) == (f"{SVG}title", f"{SVG}desc")
    assert tree.get("aria-labelledby") == f"{title.get('id')} {words.get('id')}"
    assert title.text == "host"
    for phrase in (
        "6 cores, 12 CPUs",
        "CPUs by pool: host 0,6; pmd 1,7; dedicated 2-5,8-11; shared 0,6.",
        "Guest forwarder pinned to CPUs 2,8.",
        "L3 group: CPUs 3-5,9-11, 16 MiB.",
        "NIC enp5s0f0 on an unknown NUMA node, 10 Gb/s, OVS-DPDK · physnet1",
        "queue 0 polled by CPU 1, queue 1 polled by CPU 7",
    ):
        assert phrase in (words.text or "")


def test_every_cpu_says_what_it_is() -> None:
    groups = drawn_cpus(svg(*ryzen()))
    assert {number: groups[number][0].text for number in (0, 1, 2, 4)} == {
        0: "CPU 0, host, shared",
        1: "CPU 1, pmd, isolated, polls queue 0 of enp5s0f0",
        2: "CPU 2, dedicated, guest forwarder, isolated",
        4: "CPU 4, dedicated, isolated",
    }


def test_notes_cores_and_nics() -> None:
    boxes = geometry(*ryzen()).boxes
    notes = Counter(box.text for box in boxes if box.kind == "note")
    assert notes == {"host+shared": 1, "pmd": 1, "forwarder": 1, "endpoint": 1, "free": 2}
    assert [box.text for box in boxes if box.kind == "chip"] == ["q0→1", "q1→7"]
    assert [box.look for box in boxes if box.kind == "nic"] == ["ovs-dpdk", "left-alone"]
    words = [box.text for box in boxes if box.kind == "text"]
    assert words.count("L3 · 16 MiB") == 2
    assert {"enp5s0f0", "10 Gb/s", "OVS-DPDK · physnet1", "i40e · PCIe 3.0 ×8", "default route"} <= set(words)


def test_lines_lead_from_each_queue_to_its_core() -> None:
    picture = geometry(*ryzen())
    cells = {box.cpu: box for box in picture.boxes if box.kind == "cpu"}
    chips = [box for box in picture.boxes if box.kind == "chip"]
    lines = [line for line in picture.lines if line.look == "queue"]
    assert len(lines) == len(chips) == 2
    for chip, line in zip(chips, lines, strict=True):
        assert chip.x < line.points[0][0] < chip.right
        assert cells[chip.cpu].x < line.points[-1][0] < cells[chip.cpu].right


def test_a_queue_polled_from_another_node_is_marked() -> None:
    facts, found = far()
    chips = [(box.text, box.look) for box in geometry(facts, found).boxes if box.kind == "chip"]
    assert chips == [("q0→2!", "far"), ("q1→3", "")]
    assert sum(line.look == "queue" for line in geometry(facts, found).lines) == 1
    assert "q0→2! q1→3" in picture_text(facts, found, 80, colour=False)
    assert "polled from another NUMA node" in svg(facts, found)


def test_a_node_that_is_assumed_is_said() -> None:
    facts, _ = far()
    unknown = replace(facts, nics=(replace(facts.nics[0], node=0, node_known=False),))
    assert "NUMA node not stated" in picture_text(unknown, None, 80, colour=False)
    assert "not stated" not in picture_text(facts, None, 80, colour=False)
    assert "not stated" not in picture_text(*ryzen(), 80, colour=False)  # a single node needs no saying


def test_hybrid_cores_differ_in_both_forms() -> None:
    boxes = geometry(*hybrid()).boxes
    assert Counter(box.look for box in boxes if box.kind == "core") == {"performance": 6, "efficient": 8}
    clusters = [box for box in boxes if box.kind == "cluster"]
    assert [sum(cluster.holds(box) for box in boxes if box.kind == "cpu") for cluster in clusters] == [4, 4]
    assert {"P-cores · 4.8 GHz", "E-cores · 3.5 GHz"} <= {box.text for box in boxes}
    text = picture_text(*hybrid(), 80, colour=False)
    assert text.count("(") == 8 + 1  # and the legend's
    assert "[ 4dA" in text
    assert "(12d" in text


def test_offline_is_hollow_and_isolated_fenced() -> None:
    facts, found = lost()
    groups = drawn_cpus(svg(facts, found))

    def marks(mark: str) -> set[int]:
        return {number for number, group in groups.items() if any(shape.get("class") == mark for shape in group)}

    assert marks("hollow") == {3, 4, 5}
    assert marks("fence") == {1, 2}
    boxes = geometry(facts, found).boxes
    cells = {box.cpu: box for box in boxes if box.kind == "cpu"}
    cores = [box for box in boxes if box.kind == "core"]
    assert sum(core.holds(cells[2]) and core.holds(cells[3]) for core in cores) == 1
    (frame,) = (box for box in boxes if box.look == "offline")
    assert [number for number, cell in cells.items() if frame.holds(cell)] == [4, 5]
    now = replace(facts, cpus=tuple(replace(one, isolated=one.id == 1) for one in facts.cpus))
    assert "after a reboot" in svg(now, found)
    assert "after a reboot" not in svg(now, None)
    assert "fence" in ET.tostring(drawn_cpus(svg(now, None))[1], encoding="unicode")


def test_a_cpu_in_three_pools_shows_three_colours() -> None:
    facts, found = small()
    assert colours(drawn_cpus(svg(facts, found))[0]) == ("host", "pmd", "shared")
    text = picture_text(facts, found, 80, colour=False)
    assert "[0hps] [1dA ]" in text
    assert "s shared 0: one" in text


def test_the_terminal_in_colour_says_the_same() -> None:
    facts, found = ryzen()
    coloured = picture_text(facts, found, 80, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == picture_text(facts, found, 80, colour=False)
    assert {"\x1b[30;47m", "\x1b[1;30;43m", "\x1b[37;44m", "\x1b[30;42m"} <= set(
        re.findall(r"\x1b\[[0-9;]*m", coloured)
    )


def test_boxes_of_the_terminal_are_closed() -> None:
    lines = picture_text(*far(), 80, colour=False).splitlines()
    for left, right in ("╭╮", "╰╯"):
        assert sum(line.count(left) for line in lines) == sum(line.count(right) for line in lines)
    assert any("┬" in line for line in lines)
    assert any("┴" in line for line in lines)


def test_a_hostile_name_stays_a_name() -> None:
    pnic = nic('<script>alert("x")</script>\x1b[2J\x00' * 3, up=False, speed_mbps=0)
    facts = host([cpu(0, 0)], [pnic], name="家のホスト\u202e\x07" * 9)
    check_svg(facts, None)
    check_terminal(facts, None, 80)
    assert "link down" in svg(facts, None)


def test_a_label_wider_than_its_cores_counts() -> None:
    facts = host(cpu(i, i, l3=i if i < 3 else -1) for i in range(5))
    for width in range(40, 81):
        check_terminal(facts, None, width)


def test_guests_have_letters() -> None:
    assert [guest_tag(number) for number in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def test_a_vf_is_no_nic() -> None:
    facts = host(
        [cpu(0, 0)], [nic("ens1"), nic("ens1v0", "0000:05:02.0", pf="0000:05:00.0"), nic("br0", "", physical=False)]
    )
    assert sum(box.kind == "nic" for box in geometry(facts, None).boxes) == 1


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out(scheme: int) -> None:
    """A contrast of at least 4.5 (WCAG 2.2, success criterion 1.4.3) between each fill and what is written on it."""
    for name, paint in PAINTS.items():
        if paint.fill[scheme] != "none":
            high, low = sorted((luminance(paint.fill[scheme]), luminance(paint.ink[scheme])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, name


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_is_shortened_to_its_room() -> None:
    measures = Measures(
        width_of=lambda text, _style: len(text), score=lambda _width, _height: 0, limit=80, least=80, page=(0, 0),
        cell=(1, 1), cell_gap=0, note=0, core_pad=(0, 0), core_gap=(0, 0), cluster_pad=(0, 0), pad=(0, 0), gap=(0, 0),
        inset=0, title=1, label=0, label_top=0, line=1, lane=0, bus=0, nic=(0, 0), nic_room=(0, 0), chip=(0, 0),
        chip_top=0, swatch=(0, 0), entry_gap=(0, 0),
    )  # fmt: skip
    shortened = [measures.fit("a longer text", "", room) for room in (13, 12, 3, 1, 0)]
    assert shortened == ["a longer text", "a longer te…", "a…", "…", ""]
