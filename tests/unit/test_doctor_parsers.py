"""The doctor's parsers: what they read in what real machines print, and that no text stops them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ouchi.checks.memory import pages_at_boot
from ouchi.checks.model import Result
from ouchi.checks.registry import CHECKS
from ouchi.checks.versions import kernel_version
from ouchi.facts.reading import pairs
from ouchi.flows.doctor import diagnose
from ouchi.live.cmdline import cpus_in, isolated_in, kib_of
from ouchi.live.counters import parse_counters, parse_events, parse_ports, parse_sockets
from ouchi.live.guests import Guest, parse_guests
from ouchi.live.host import MACHINE, SAMPLES, SWITCH, Texts, parse_live, script
from ouchi.live.interrupts import arrived, mask_cpus, parse_interrupts
from ouchi.live.memory import parse_hugepages
from ouchi.live.nics import parse_networking, parse_vfs
from ouchi.live.ovs import Mempool, Pmd, Queue, parse_mempools, parse_queues, parse_switch
from ouchi.live.scheduling import parse_scheduling
from ouchi.live.sections import by_cpu, linked, numbers, sections
from ouchi.live.threads import Thread, family, listed, parse_threads
from tests.live import INSTANCE, healthy, planned_for, printed
from tests.plans import facts_of

INTERRUPTS = """\
           CPU0       CPU2
 24:         10          0  IR-PCI-MSI-0000:01:00.0    1-edge      nvme0q0
 16:          3          4  IR-IO-APIC   16-fasteoi   i801_smbus, xhci_hcd
LOC:       1000       2000  Local timer interrupts
IPI0:         1          2  Rescheduling interrupts
ERR:          0
"""
QUEUES = """\
Displaying last 60 seconds pmd usage %
pmd thread numa_id 0 core_id 1:
  isolated : true
  port: dpdk0             queue-id:  0 (enabled)   pmd usage: 34 %
  port: vhu-1             queue-id:  1 (disabled)  pmd usage:  0 %
  overhead:  2 %
pmd thread numa_id 1 core_id 17:
  isolated : false
  port: nul0              queue-id:  0 (enabled)   pmd usage: NOT AVAIL
  overhead: NOT AVAIL
"""
MEMPOOL = """\
mempool <ovscd54345600021580022560>@0x11a4081400
  flags=10
  size=22560
  populated_size=22560
  internal cache infos:
    cache_size=512
    cache_count[1]=512
    total_cache_count=512
  common_pool_count=22016
  no statistics available
"""


def test_interrupts_by_label() -> None:
    found = parse_interrupts(INTERRUPTS)
    assert found["24"].counts == {0: 10, 2: 0}
    assert (found["24"].name, found["16"].name, found["LOC"].name) == ("nvme0q0", "xhci_hcd", "Local timer interrupts")
    assert set(found) == {"24", "16", "LOC", "IPI0"}
    assert found["24"].device
    assert not found["IPI0"].device


def test_what_arrived_between_two_looks() -> None:
    after = parse_interrupts(INTERRUPTS.replace("      4  IR", "      9  IR").replace("2000", "2010"))
    found = arrived(parse_interrupts(INTERRUPTS), after, (2,))
    assert [(one.label, one.counts) for one in found] == [("LOC", {2: 10}), ("16", {2: 5})]
    assert arrived(parse_interrupts(INTERRUPTS), after, (0,)) == []


def test_queues_and_their_pmd_threads() -> None:
    pmds, queues = parse_queues(QUEUES)
    assert pmds == {1: Pmd(0, isolated=True, overhead=2), 17: Pmd(1)}
    assert queues == (
        Queue("dpdk0", 0, 1, True, 34),
        Queue("vhu-1", 1, 1, False, 0),
        Queue("nul0", 0, 17, True, -1),
    )


def test_pools_of_packet_buffers() -> None:
    pool = Mempool("ovscd54345600021580022560", 2158, 22560, 22528)
    assert parse_mempools(MEMPOOL) == (pool,)
    assert len(parse_mempools(MEMPOOL + MEMPOOL.replace("ovsc", "ovsd") + "mempool <else>\n size=3\n")) == 2


def test_switch_that_does_not_answer() -> None:
    text = "@@ whose\nours\n@@ pid\n57\n@@ tables\novs-vsctl: Permission denied\n@@ tables failed\n@@ queues\nlate\n@@ queues failed\n"
    switch = parse_switch(sections(text))
    assert (switch.whose, switch.pid, switch.dpdk_initialized) == ("ours", 57, False)
    assert switch.failed == {"tables": "ovs-vsctl: Permission denied", "queues": "late"}


def test_a_database_that_answers_nonsense_did_not_answer() -> None:
    assert parse_switch({"whose": "ours", "tables": "{}\n[]"}).failed == {"tables": "{} []"}


def test_threads() -> None:
    text = (
        "5/task/6/status:Name:\tpmd-c01/id:8\n5/task/6/status:State:\tR (running)\n5/task/6/status:VmSize:\t1 kB\n"
        "5/task/6/status:Cpus_allowed_list:\t1\n7/task/7/status:Name:\tkthreadd\n7/task/7/status:State:\tS\n"
        "7/task/7/status:Cpus_allowed_list:\t0-3\n8/task/8/status:Name:\tgone\n8/task/8/status:State:\tZ (zombie)\n"
        "8/task/8/status:Cpus_allowed_list:\t0-3\n9/task/9/status:Name:\tended\n"
    )
    first, second = parse_threads(text)
    assert (first.pid, first.tid, first.pmd, first.cpus, first.kernel) == (5, 6, 1, (1,), False)
    assert (second.name, second.kernel, second.pmd) == ("kthreadd", True, None)


def test_guests() -> None:
    text = (
        "/proc/12/cmdline:qemu -name guest=instance-1,debug-threads=on -drive /s/nova/instances/1/disk "
        '-chardev socket,id=charnet0,path=/v/vhu1,server=on -netdev {"type":"vhost-user","chardev":"charnet0"} '
        "-netdev tap,id=hostnet1\n/proc/13/cmdline:qemu -name two\n"
    )
    sections = {
        "guests": text,
        "servers": "/s/libvirt/run/qemu/instance-1.xml:      <nova:name>one",
        "guest memory": "/proc/12/smaps_rollup:Shared_Hugetlb:   2048 kB\n/proc/12/smaps_rollup:Private_Hugetlb: 1024 kB",
    }
    one, two = parse_guests(sections, "/s")
    assert one == Guest(12, "instance-1", True, "one", ("vhost-user", "tap"), ("/v/vhu1",), 3)
    assert one.name == "one"
    assert two == Guest(13, "two", False)


def test_states_of_guests_as_libvirt_keeps_them() -> None:
    """Written by libvirt 9.0 while a guest started, ran and was suspended."""
    host = {"guests": "\n".join(f"/proc/{pid}/cmdline:qemu-system-x86_64 -name guest=i{pid}" for pid in (1, 2, 3))}
    folder = "/var/lib/ouchi/libvirt/run/qemu"
    host["states"] = (
        f"{folder}/i1.xml:<domstatus state='paused' reason='starting up' pid='47'\n"
        f"{folder}/i2.xml:<domstatus state='running' reason='booted' pid='47'\n"
        f"{folder}/i3.xml:<domstatus state='paused' reason='user' pid='47'\n"
    )
    found = [(guest.state, guest.reason) for guest in parse_guests(host, "")]
    assert found == [("paused", "starting up"), ("running", "booted"), ("paused", "user")]


def test_the_policy_of_threads() -> None:
    """The first line is one of ``sleep`` under ``chrt -f 1``; names may hold anything."""
    line = "5 (a) S 1 (b)) S 22386 22386 3623 0 -1 4194560 222 0 1 0 0 0 0 0 -2 0 1 0 4476567 2990080 425 9 9 9 9 0 0 0 0 6 0 1 0 0 17 1 1 1 0 0"
    text = f"/proc/4/task/5/schedstat:1 2 3\n/proc/4/task/5/stat:{line}\n"
    text += "/proc/4/task/6/schedstat:1 2 3\n/proc/4/task/6/stat:6 (short) S 1 2\n"
    assert [one.policy for one in parse_scheduling(text).values()] == [1, 0]


def test_hugepages_by_node_and_size() -> None:
    text = "node0/hugepages/hugepages-2048kB/nr_hugepages:9\nnode0/hugepages/hugepages-2048kB/free_hugepages:4"
    assert parse_hugepages(text) == {(0, 2048): (9, 4)}


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("3", (0, 1)), ("41", (0, 6)), ("00000001,00000000", (32,)), ("", ()), ("xyz", ()), ("0", ())],
)
def test_masks(text: str, cpus: tuple[int, ...]) -> None:
    assert mask_cpus(text) == cpus


@pytest.mark.parametrize(
    ("text", "version"),
    [("DPDK 22.11.11", (22, 11, 11)), ("9.20 0x8000d8c5 0.0.0", (9, 20)), ("none", ()), ("23.11", (23, 11))],
)
def test_numbers(text: str, version: tuple[int, ...]) -> None:
    assert numbers(text) == version


@pytest.mark.parametrize(
    ("banner", "release", "version"),
    [
        ("Linux version 6.1.0-27-amd64 (x) #1 SMP Debian 6.1.115-1 (2024-11-01)", "6.1.0-27-amd64", (6, 1, 115)),
        ("Ubuntu 6.8.0-57.59-generic 6.8.12", "6.8.0-57-generic", (6, 8, 12)),
        ("Linux version 6.6.30 (me@home)", "6.6.30", (6, 6, 30)),
        ("Linux version 6.1.0-27-amd64 (other)", "6.1.0-27-amd64", ()),
    ],
)
def test_kernels_stable_release(banner: str, release: str, version: tuple[int, ...]) -> None:
    assert kernel_version(banner, release) == version


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("hugepages=512", 512),
        ("default_hugepagesz=1G hugepages=4", None),
        ("hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=0:100,1:200", 300),
        ("quiet", None),
        ("hugepagesz=2M hugepages=many", 0),
        ("default_hugepagesz=1GB hugepages=4 hugepagesz=2048K hugepages=512", 512),
        ("default_hugepagesz=1024M hugepages=4", None),
        ("hugepagesz=2m hugepages=8", 8),
    ],
)
def test_pages_that_the_command_line_asks_for(words: str, count: int | None) -> None:
    from dataclasses import replace

    facts = facts_of("ryzen-5-3600")
    facts = replace(facts, boot=replace(facts.boot, parameters=tuple(words.split())))
    assert pages_at_boot(facts, 2048) == count


@pytest.mark.parametrize(
    ("value", "cpus"),
    [
        ("1-3,5", {1, 2, 3, 5}),
        ("2-N", {2, 3, 4, 5, 6, 7}),
        ("N", {7}),
        ("all", set(range(8))),
        ("0-7:1/2", {0, 2, 4, 6}),
        ("all:2/4", {0, 1, 4, 5}),
        ("1-3,2,,", {1, 2, 3}),
        ("1-3,x", set()),
        ("3-1", set()),
        ("", set()),
    ],
)
def test_cpus_as_the_command_line_names_them(value: str, cpus: set[int]) -> None:
    assert cpus_in(value, 7) == cpus


@pytest.mark.parametrize(
    ("value", "cpus"),
    [
        ("2-3", {2, 3}),
        ("domain,managed_irq,2-3", {2, 3}),
        ("managed_irq,domain,2-N", {2, 3, 4, 5, 6, 7}),
        ("managed_irq,2-3", set()),
        ("nohz,2-3", set()),
        ("2-3,domain", set()),
        ("domain", set()),
    ],
)
def test_cpus_that_isolcpus_takes_from_the_scheduler(value: str, cpus: set[int]) -> None:
    assert isolated_in(value, 7) == cpus


NETPLAN = """\
network:
  version: 2
  ethernets:
    enp5s0f0:   # the NIC for DPDK
      dhcp4: true
    "enp5s0f1": {dhcp4: true}
      password: secret
    eno1: {match: {macaddress: "02:AA:00:00:00:01"}, set-name: lan0}   # not enp9s0
  bonds:
    bond0:
      interfaces: [enp7s0, enp8s0]
  bridges:
    br0:
      interfaces:
        - enp6s0
# enp4s0:
"""


def test_configuration_files_name_interfaces(tmp_path: Path) -> None:
    """What the script picks from a file is what is read of it."""
    files = {
        "netplan/a.yaml": NETPLAN,
        "network/interfaces": "# auto eth9\niface eth1 inet dhcp\n",
        "NetworkManager/system-connections/x.nmconnection": "[connection]\ninterface-name=wlan0\n",
        "systemd/network/05-ouchi.network": "[Match]\nPermanentMACAddress=02:aa:00:00:00:02\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    picks = script("machine").partition("section networking")[2].partition("\n")[2]
    picked = subprocess.run(
        ["sh", "-c", picks.replace("/etc/", f"{tmp_path}/")], capture_output=True, text=True, check=False
    )
    found = {path.removeprefix(f"{tmp_path}/"): words for path, words in parse_networking(picked.stdout).items()}
    named = {"enp5s0f0", "enp5s0f1", "eno1", "lan0", "02:aa:00:00:00:01", "enp6s0", "enp7s0", "enp8s0"}
    assert named <= found["netplan/a.yaml"]
    assert not {"enp4s0", "enp9s0", "secret"} & found["netplan/a.yaml"]
    assert "eth1" in found["network/interfaces"]
    assert "eth9" not in found["network/interfaces"]
    assert "wlan0" in found["NetworkManager/system-connections/x.nmconnection"]
    assert "02:aa:00:00:00:02" not in found.get("systemd/network/05-ouchi.network", ())


def test_names_are_counted_and_cut() -> None:
    assert listed(["a", "b", "a"]) == "a (2), b"
    assert listed("abcdefgh", most=2) == "a, b, and 6 more"


def test_a_family_is_who_started_them_and_whom_they_started() -> None:
    threads = [
        Thread(pid, pid, "x", False, (), parent)
        for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (7, 8), (8, 7))
    ]
    assert family(threads, (3,)) == {2, 3, 4}
    assert family(threads, (0, 1, 99)) == {99}
    assert family(threads, (2,)) == {2, 3, 4}


def test_ports_of_the_datapath_and_those_without_statistics() -> None:
    """The error of a port without statistics is in front of the next port, as OVS 3.1 prints it."""
    text = (
        "netdev@ovs-netdev:\n  flows: 1\n  port 2: vhu0 (dpdkvhostuserclient: configured_rx_queues=1, mtu=0)\n"
        ", could not retrieve stats (Protocol error)  port 3: dpdk0 (dpdk: n_rxq=2, n_rxq_desc=512)\n"
        "    RX packets:9 errors:0 dropped:4 overruns:? frame:?\n    TX packets:0 errors:0 dropped:? aborted:?\n"
        "  port 4: tap0\n    RX packets:0 errors:0 dropped:0 overruns:0 frame:0\n"
        "system@ovs-system:\n  port 1: br0 (internal)\n    RX packets:0 errors:0 dropped:7 overruns:0 frame:0\n"
    )
    vhu0, dpdk0, tap0 = parse_ports(text).values()
    assert (vhu0.statistics, vhu0.rx_dropped, vhu0.configuration) == (
        False,
        None,
        {"configured_rx_queues": "1", "mtu": "0"},
    )
    assert (dpdk0.statistics, dpdk0.rx_dropped, dpdk0.tx_dropped, dpdk0.kind) == (True, 4, None, "dpdk")
    assert (tap0.name, tap0.kind, tap0.rx_dropped) == ("tap0", "", 0)


# --- any text


@given(st.text())
@example("0\x1f")  # white space to str, and none to int
def test_no_text_stops_a_parser(text: str) -> None:
    found = sections(text)
    parse_switch(found | {"tables": text, "queues": text, "mempools": text, "folder": text, "pid": text})
    parse_counters(found | dict.fromkeys(("datapath before", "coverage", "sockets before", "connections"), text))
    parse_ports(f"netdev@x:\n{text}")
    parse_events(text)
    parse_sockets(text, frozenset("1"))
    parse_interrupts(text)
    parse_threads(text)
    parse_guests({"guests": text, "servers": text, "guest memory": text}, "/")
    parse_hugepages(text)
    parse_networking(text)
    parse_vfs(text)
    mask_cpus(text)
    numbers(text)
    kernel_version(text, text)
    by_cpu(pairs(text, ":"), "x")
    cpus_in(text, 7)
    isolated_in(text, 7)
    kib_of(text)
    linked(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(("headings", "data", "ifname", "vfinfo_list", "a")), inner),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_no_json_stops_a_parser(value: object) -> None:
    parse_vfs(json.dumps(value))
    parse_switch({"tables": json.dumps(value)})


READINGS = printed(healthy(planned_for({})))
TARGET = planned_for({})


@given(st.sampled_from((MACHINE, SAMPLES, SWITCH)), st.data())
def test_checks_end_on_any_output(reading: str, data: st.DataObject) -> None:
    """A piece of a healthy host's output is cut out or replaced: every check still has a result."""
    text = READINGS[reading]
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 400)))
    other = data.draw(st.text(max_size=20))
    live = parse_live(Texts(READINGS | {reading: text[:begin] + other + text[end:]}), INSTANCE)
    found = diagnose(live, TARGET)
    json.dumps(found.to_json())


def test_nothing_printed_is_not_healthy() -> None:
    """Without output no host is healthy."""
    found = diagnose(parse_live(Texts(), INSTANCE), TARGET)
    # Checks of facts alone still hold.
    assert {check.subject for check in found.with_result(Result.OK)} == {"memory", "cpus", "nics"}
    unknown = {check.subject for check in found.with_result(Result.UNKNOWN)}
    assert unknown == {check.id.partition(".")[0] for check in CHECKS}


@pytest.mark.parametrize("reading", [MACHINE, SAMPLES, SWITCH])
def test_a_reading_that_failed_is_the_reason(reading: str) -> None:
    """Nothing is concluded from a reading that is not there, such as that no ovs-vswitchd runs."""
    texts = {name: text for name, text in READINGS.items() if name != reading}
    found = diagnose(parse_live(Texts(texts, {reading: "no"}), INSTANCE), TARGET)
    assert {check.found for check in found.with_result(Result.UNKNOWN)} == {"no"}


def test_readings_that_failed_are_unknown() -> None:
    missing = {MACHINE: "did not end within 15 s", SAMPLES: "no", SWITCH: "no"}
    found = diagnose(parse_live(Texts({}, missing), INSTANCE), TARGET)
    assert all(
        check.result is Result.UNKNOWN for check in found.checks if check.subject in ("kernel", "threads", "ovs")
    )
