"""Open vSwitch: its database, and what ovs-vswitchd reports of its PMD threads, Rx queues and mempools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ouchi.clients.ovs import parse_rows
from ouchi.facts.reading import whole
from ouchi.live.wire import Hop, parse_hops

OURS, PACKAGED, ENABLED, NONE = "ours", "packaged", "enabled", "none"

POLLED = ("dpdk", "dpdkvhostuserclient", "dpdkvhostuser")
"""Types of ports with Rx queues for PMD threads; without such a port there are no PMD threads."""

SILENT = "does not answer within 3 s"

_PMD = re.compile(r"pmd thread numa_id (-?[0-9]{1,4}) core_id ([0-9]{1,4}):")
_OVERHEAD = re.compile(r"\s*overhead:\s*([0-9]{1,3})\s*%")
_QUEUE = re.compile(
    r"\s*port:\s*(\S+)\s+queue-id:\s*([0-9]{1,5}) \((enabled|disabled)\)(?:\s+pmd usage:\s*(?:([0-9]{1,3})|NOT AVAIL))?"
)
_POOL = re.compile(r"mempool <(ovs[0-9a-f]{8}[^>\s]{0,40})>")
_STARTED = "DPDK Enabled - initializing"
"""What ovs-vswitchd logs at each start before it calls DPDK (lib/dpdk.c)."""
_WITHOUT_MEMORY = re.compile(r"Cannot allocate ethdev shared data")
_POOL_NAME = re.compile(r"ovs[0-9a-f]{8}[0-9]{2}([0-9]{5})[0-9]{7,}")


@dataclass(frozen=True, slots=True)
class Pmd:
    """A PMD thread: its NUMA node, whether it polls pinned Rx queues only, load besides its Rx queues in per cent."""

    node: int
    isolated: bool = False
    overhead: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """An Rx queue: port, number, CPU of its PMD thread, enabled by the other side, load in per cent (-1: not measured)."""

    port: str
    number: int
    cpu: int
    enabled: bool
    usage: int


@dataclass(frozen=True, slots=True)
class Mempool:
    """A mempool: the largest frame for its mbufs (bytes, rounded by OVS), how many mbufs, how many are free."""

    name: str
    mtu: int
    size: int
    free: int


@dataclass(frozen=True, slots=True)
class OvsPort:
    """An interface of the database; ``error``, ``status``, ``link`` and ``statistics`` are set by ovs-vswitchd.

    ``mtu``: in bytes, 0 where it is not known.
    """

    name: str
    kind: str
    error: str
    status: Mapping[str, str]
    link: str
    options: Mapping[str, str]
    bridge: str = ""
    statistics: Mapping[str, int] = field(default_factory=dict)
    mtu: int = 0

    @property
    def node(self) -> int:
        """The NUMA node of a NIC, or of a guest's memory; -1 where there is none."""
        return whole(self.status.get("numa_id", self.status.get("numa", "")), -1)

    @property
    def description(self) -> str:
        """What it is: its type, or the kernel's driver."""
        return self.kind or self.status.get("driver_name", "") or "an interface of the kernel"

    @property
    def vhost(self) -> bool:
        """Whether it is a vhost-user port that was created."""
        return self.kind.startswith("dpdkvhostuser") and not self.error

    @property
    def polled(self) -> bool:
        """Whether the port was created and has Rx queues for PMD threads."""
        return self.kind in POLLED and not self.error

    @property
    def rxqs(self) -> int:
        """The least number of Rx queues: of a NIC those that ovs-vswitchd reports; a guest may have any number."""
        return max(1, whole(self.status.get("n_rxq", ""), 1)) if self.kind == "dpdk" else 1


@dataclass(frozen=True, slots=True)
class Switch:
    """One Open vSwitch.

    ``whose``: ``ours``, ``packaged`` (the distribution's runs), ``enabled`` (it starts at boot but does not run) or
    ``none``. ``run`` is its run folder, ``sockets`` the folder of the guests' sockets, whose mode and owner are empty
    where it does not exist. ``without_qemu``: there is no user libvirt-qemu. ``connected`` are the paths of connected
    sockets in the kernel's table: the database can have ``disconnected`` for a guest that connected while its port was
    being created. ``pmds``: PMD threads by their CPU. ``hops``: what the endpoints' wire carried during the last
    verification. ``failed``: queries without an answer, and their error. ``without_shared_data``: since its last start DPDK
    had no memory for what it keeps of all its ports.
    """

    whose: str = NONE
    pid: int = 0
    program: str = ""
    alternative: str = ""
    run: str = ""
    sockets: str = ""
    sockets_mode: int = 0
    sockets_owner: str = ""
    without_qemu: bool = False
    connected: frozenset[str] = frozenset()
    other_config: Mapping[str, str] = field(default_factory=dict)
    dpdk_initialized: bool = False
    dpdk_version: str = ""
    bridges: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[OvsPort, ...] = ()
    pmds: Mapping[int, Pmd] = field(default_factory=dict)
    queues: tuple[Queue, ...] = ()
    mempools: tuple[Mempool, ...] = ()
    hops: tuple[Hop, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    without_shared_data: bool = False

    def userspace(self, port: OvsPort) -> bool:
        """Whether a port's bridge is in the userspace datapath."""
        return self.bridges.get(port.bridge) == "netdev"

    def connected_socket(self, port: OvsPort) -> bool:
        """Whether the socket of a vhost-user port is connected in the kernel's table."""
        return port.options.get("vhost-server-path", f"{self.run}/{port.name}") in self.connected


def parse_switch(found: Mapping[str, str]) -> Switch:
    """Return Open vSwitch from the sections of its script."""
    switch, bridges, ports = _tables(found.get("tables", ""))
    pmds, queues = parse_queues(found.get("queues", ""))
    mode, _, owner = found.get("folder", "").strip().partition(" ")
    failed = {name: error_of(found, name) for name in ("tables", "queues", "mempools") if f"{name} failed" in found}
    if "tables" in found and "tables" not in failed and not switch:
        failed["tables"] = error_of(found, "tables")
    initialized = switch.get("dpdk_initialized")
    return Switch(
        whose=found.get("whose", NONE).strip() or NONE,
        pid=whole(found.get("pid", ""), 0),
        program=found.get("exe", "").strip(),
        alternative=found.get("alternative", "").strip(),
        run=found.get("run", "").strip(),
        sockets=found.get("sockets", "").strip(),
        sockets_mode=int(mode, 8) if re.fullmatch(r"[0-7]{1,4}", mode) else 0,
        sockets_owner=owner,
        without_qemu=found.get("qemu", "").strip() == "none",
        connected=frozenset(re.findall(r"^ 03 +[0-9]+ (/.*)$", found.get("connected", ""), re.MULTILINE)),
        other_config=_map(switch.get("other_config")),
        dpdk_initialized=initialized is True,
        dpdk_version=_text(switch.get("dpdk_version")),
        bridges=bridges,
        ports=ports,
        pmds=pmds,
        queues=queues,
        mempools=parse_mempools(found.get("mempools", "")),
        hops=parse_hops(found.get("wire", "")),
        failed=failed,
        without_shared_data=lacks_shared_data(found.get("log", "")),
    )


def lacks_shared_data(log: str) -> bool:
    """Return whether a log has, since ovs-vswitchd's last start in it, that DPDK could not allocate its shared data.

    ``eth_dev_shared_data_prepare`` in DPDK's lib/ethdev/ethdev_private.c: in DPDK 22.11 a panic that ends the process,
    in 24.11 an error at each port.
    """
    return _WITHOUT_MEMORY.search(log, max(0, log.rfind(_STARTED))) is not None


def parse_queues(text: str) -> tuple[dict[int, Pmd], tuple[Queue, ...]]:
    """Return the PMD threads by their CPU, and their Rx queues, in the output of ``dpif-netdev/pmd-rxq-show``."""
    pmds: dict[int, Pmd] = {}
    queues = []
    cpu = -1
    for line in text.split("\n"):
        if match := _PMD.match(line):
            cpu = int(match[2])
            pmds[cpu] = Pmd(whole(match[1], -1))
        elif cpu >= 0 and line.strip() == "isolated : true":
            pmds[cpu] = replace(pmds[cpu], isolated=True)
        elif cpu >= 0 and (match := _OVERHEAD.match(line)):
            pmds[cpu] = replace(pmds[cpu], overhead=int(match[1]))
        elif cpu >= 0 and (match := _QUEUE.match(line)):
            queues.append(Queue(match[1], int(match[2]), cpu, match[3] == "enabled", whole(match[4] or "", -1)))
    return pmds, tuple(queues)


def parse_mempools(text: str) -> tuple[Mempool, ...]:
    """Return the mempools in the output of ``netdev-dpdk/get-mempool-info`` (``rte_mempool_dump``).

    The name of a pool holds its MTU (``dpdk_mp_create`` in lib/netdev-dpdk.c).
    """
    found = []
    for part in re.split(r"^(?=mempool <)", text, flags=re.MULTILINE):
        if match := _POOL.match(part):
            keys = dict(line.strip().partition("=")[::2] for line in part.split("\n"))
            mtu = _POOL_NAME.fullmatch(match[1])
            free = whole(keys.get("common_pool_count", ""), 0) + whole(keys.get("total_cache_count", ""), 0)
            size = whole(keys.get("size", ""), 0)
            if size > 0:
                found.append(Mempool(match[1], int(mtu[1]) if mtu else 0, size, max(0, free)))
    return tuple(found)


def _tables(text: str) -> tuple[Mapping[str, object], dict[str, str], tuple[OvsPort, ...]]:
    """Return the record of Open_vSwitch, each bridge's datapath type, and the interfaces; each line is a JSON table."""
    switch: Mapping[str, object] = {}
    bridges: dict[str, str] = {}
    bridge_of: dict[str, str] = {}
    ports_of: dict[str, str] = {}
    interfaces: list[Mapping[str, object]] = []
    for line in text.split("\n"):
        try:
            rows = parse_rows(line)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        for row in rows:
            if "other_config" in row:
                switch = row
            elif "datapath_type" in row:
                bridges[_text(row.get("name"))] = _text(row["datapath_type"])
                ports_of |= dict.fromkeys(_uuids(row.get("ports")), _text(row.get("name")))
            elif "interfaces" in row:
                bridge_of |= dict.fromkeys(_uuids(row["interfaces"]), _text(row.get("_uuid")))
            elif "error" in row:
                interfaces.append(row)
    return (
        switch,
        bridges,
        tuple(_port(row, ports_of.get(bridge_of.get(_text(row.get("_uuid")), ""), "")) for row in interfaces),
    )


def _uuids(value: object) -> list[str]:
    """Return the members of a column; a set with one member is the member itself."""
    return [str(item) for item in value] if isinstance(value, list) else [_text(value)]


def _port(row: Mapping[str, object], bridge: str) -> OvsPort:
    return OvsPort(
        name=_text(row.get("name")),
        kind=_text(row.get("type")),
        error=_text(row.get("error")),
        status=_map(row.get("status")),
        link=_text(row.get("link_state")),
        options=_map(row.get("options")),
        bridge=bridge,
        statistics={key: whole(value, 0) for key, value in _map(row.get("statistics")).items()},
        mtu=max(0, whole(_text(row.get("mtu")), 0)),
    )


def _text(value: object) -> str:
    """Return a column as text; an optional column that is not set is an empty list."""
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value)


def _map(value: object) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}


def error_of(found: Mapping[str, str], name: str) -> str:
    """Return the error of a query that failed, on one line; ``SILENT`` is in it where there was no answer in time."""
    text = " ".join(found.get(name, "").split())[-300:]
    if "Alarm clock" in text or not text:
        return f"{'the database' if name == 'tables' else 'ovs-vswitchd'} {SILENT}"
    return text
