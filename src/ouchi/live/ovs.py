"""Open vSwitch as it runs: what its database holds, and what ovs-vswitchd itself says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ouchi.clients.ovs import parse_rows
from ouchi.facts.reading import whole

OURS, PACKAGED, ENABLED, NONE = "ours", "packaged", "enabled", "none"

POLLED = ("dpdk", "dpdkvhostuserclient", "dpdkvhostuser")
"""The types of ports whose queues polling threads poll; without such a port there are no polling threads."""

_PMD = re.compile(r"pmd thread numa_id (-?[0-9]{1,4}) core_id ([0-9]{1,4}):")
_QUEUE = re.compile(
    r"\s*port:\s*(\S+)\s+queue-id:\s*([0-9]{1,5}) \((enabled|disabled)\)(?:\s+pmd usage:\s*(?:([0-9]{1,3})|NOT AVAIL))?"
)
_POOL = re.compile(r"mempool <(ovs[0-9a-f]{8}[^>\s]{0,40})>")
_POOL_NAME = re.compile(r"ovs[0-9a-f]{8}[0-9]{2}([0-9]{5})[0-9]{7,}")


@dataclass(frozen=True, slots=True)
class Queue:
    """A receive queue, the CPU that polls it, whether the other side has enabled it, and its load in per cent (-1:
    not measured yet)."""

    port: str
    number: int
    cpu: int
    enabled: bool
    usage: int


@dataclass(frozen=True, slots=True)
class Poller:
    """A polling thread: its CPU, and whether it polls pinned queues only."""

    cpu: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """Packet buffers: the largest frame they are for (bytes, OVS's own rounding), how many, how many are free."""

    name: str
    mtu: int
    size: int
    free: int


@dataclass(frozen=True, slots=True)
class Port:
    """An interface of the database. ``error`` and ``status`` are ovs-vswitchd's own words."""

    name: str
    kind: str
    error: str
    status: Mapping[str, str]
    link: str
    options: Mapping[str, str]

    @property
    def polled(self) -> bool:
        """True for a port that was made and whose queues polling threads poll."""
        return self.kind in POLLED and not self.error

    @property
    def rxqs(self) -> int:
        """How many queues it has at least: a card as many as ovs-vswitchd says of it; a guest may have any number."""
        return max(1, whole(self.status.get("n_rxq", ""), 1)) if self.kind == "dpdk" else 1


@dataclass(frozen=True, slots=True)
class Switch:
    """Whose Open vSwitch it is, and all of it.

    ``whose``: ``ours``, ``packaged`` (the distribution's runs), ``enabled`` (it starts at boot but does not run) or
    ``none``. ``run`` is its run folder, ``sockets`` the folder in which guests' sockets are made; its mode and owner
    are empty where there is no such folder. ``without_qemu``: there is no user of libvirt's guests. ``connected`` are the paths of sockets that somebody has connected to, by
    the kernel's table: the database says ``disconnected`` of a port whose guest came while it was being made.
    ``failed``: what did not answer, and its words.
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
    ovs_version: str = ""
    bridges: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    pollers: tuple[Poller, ...] = ()
    queues: tuple[Queue, ...] = ()
    pools: tuple[Pool, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


def parse_switch(found: Mapping[str, str]) -> Switch:
    """Open vSwitch from the sections of its script."""
    switch, bridges, ports = _tables(found.get("tables", ""))
    pollers, queues = parse_queues(found.get("queues", ""))
    mode, _, owner = found.get("folder", "").strip().partition(" ")
    failed = {name: _said(found, name) for name in ("tables", "queues", "mempools") if f"{name} failed" in found}
    if "tables" in found and "tables" not in failed and not switch:
        failed["tables"] = _said(found, "tables")
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
        ovs_version=_text(switch.get("ovs_version")),
        bridges=bridges,
        ports=ports,
        pollers=pollers,
        queues=queues,
        pools=parse_pools(found.get("mempools", "")),
        failed=failed,
    )


def parse_queues(text: str) -> tuple[tuple[Poller, ...], tuple[Queue, ...]]:
    """The polling threads and their queues in the text of ``dpif-netdev/pmd-rxq-show``."""
    pollers: dict[int, bool] = {}
    queues = []
    cpu = -1
    for line in text.split("\n"):
        if match := _PMD.match(line):
            cpu = int(match[2])
            pollers[cpu] = False
        elif cpu >= 0 and line.strip() == "isolated : true":
            pollers[cpu] = True
        elif cpu >= 0 and (match := _QUEUE.match(line)):
            queues.append(Queue(match[1], int(match[2]), cpu, match[3] == "enabled", whole(match[4] or "", -1)))
    return tuple(Poller(cpu, isolated) for cpu, isolated in pollers.items()), tuple(queues)


def parse_pools(text: str) -> tuple[Pool, ...]:
    """OVS's pools in the text of ``netdev-dpdk/get-mempool-info`` (``rte_mempool_dump``).

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
                found.append(Pool(match[1], int(mtu[1]) if mtu else 0, size, max(0, free)))
    return tuple(found)


def _tables(text: str) -> tuple[Mapping[str, object], dict[str, str], tuple[Port, ...]]:
    """The record of Open_vSwitch, each bridge's datapath, and the interfaces; one table of JSON on each line."""
    switch: Mapping[str, object] = {}
    bridges: dict[str, str] = {}
    ports: list[Port] = []
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
            elif "error" in row:
                ports.append(_port(row))
    return switch, bridges, tuple(ports)


def _port(row: Mapping[str, object]) -> Port:
    return Port(
        name=_text(row.get("name")),
        kind=_text(row.get("type")),
        error=_text(row.get("error")),
        status=_map(row.get("status")),
        link=_text(row.get("link_state")),
        options=_map(row.get("options")),
    )


def _text(value: object) -> str:
    """A column as text; an optional one that is not set is an empty list."""
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value)


def _map(value: object) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _said(found: Mapping[str, str], name: str) -> str:
    """The words of something that failed, on one line."""
    return " ".join(found.get(name, "").split())[-300:] or "no answer"
