"""The site as frozen models.

A field's ``title`` says what it is and its ``description`` what may stand there: editors show both from the
JSON Schema, and every error about the field quotes the description as what was expected.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from ouchi.machine.ssh.address import FORM
from ouchi.site.source import Source
from ouchi.site.values import Address, CpuList, HostAddress, Memory, Subnet, parse_memory

_LABEL = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_LABEL_TEXT = "characters a-z, 0-9 and -, the first and last a letter or digit"


def _label(title: str, longest: int = 32, **more: Any) -> Any:
    """A field for a name of 1 to ``longest`` characters."""
    return Field(title=title, description=f"1 to {longest} {_LABEL_TEXT}", pattern=_LABEL, max_length=longest, **more)


def _whole(title: str, least: int, most: int, **more: Any) -> Any:
    """A field for a whole number."""
    return Field(title=title, description=f"a whole number from {least} to {most}", ge=least, le=most, **more)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Cpus(_Section):
    """The CPUs of each pool; ``None``: ouchi chooses. CPU numbers are Linux's."""

    host: CpuList | None = Field(
        default=None, title="CPUs of Linux, ouchi and OpenStack", description='CPUs as text: "0,2-5"'
    )
    pmd: CpuList | None = Field(
        default=None, title="CPUs of OVS-DPDK's PMD threads", description='CPUs as text, in no other pool: "1"'
    )
    dedicated: CpuList | None = Field(
        default=None, title="CPUs for pinned vCPUs, one each", description='CPUs as text, in no other pool: "2-5"'
    )
    shared: CpuList | None = Field(
        default=None,
        title="CPUs for vCPUs that are not pinned and for emulator threads",
        description='CPUs as text, in no other pool but host: "0"',
    )
    forbidden: CpuList | None = Field(
        default=None, title="CPUs that no pool may have", description='CPUs as text, in no pool, not CPU 0: "4,10"'
    )
    pmd_cores: int | None = _whole("How many whole cores PMD threads get, where pmd is left out", 1, 64, default=None)
    isolate: bool | None = Field(
        default=None,
        title="Whether kernel parameters isolate the CPUs of PMD threads and pinned vCPUs; up reboots for it",
        description="true or false; left out, ouchi apply does it and ouchi up does not",
    )
    prefer: Literal["capacity", "cache", "power"] = Field(
        default="capacity",
        title="The aim of the pools: most CPUs for guests, an L3 cache without the host for them, or low power",
        description="capacity, cache or power",
    )


POOLS = ("host", "pmd", "dedicated", "shared")


class Nic(_Section):
    """A NIC for the data plane, and the physical network behind it."""

    nic: str = Field(
        title="The NIC",
        description="a kernel name (enp3s0) or a PCI address (0000:03:00.0)",
        pattern=r"^([a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$",
    )
    physnet: str = _label("The physical network it is plugged into")
    role: Literal["ovs-dpdk", "sriov"] = Field(
        default="ovs-dpdk",
        title="Whether OVS-DPDK drives it, or its VFs go to guests",
        description="ovs-dpdk or sriov",
    )
    vfs: int = Field(
        default=0,
        title="How many VFs it has, with role sriov",
        description="a whole number from 1 to 256 with role sriov, left out otherwise",
        ge=0,
        le=256,
    )
    vlan: int | None = Field(
        default=None,
        title="The VLAN that the NIC puts its VFs on, with role sriov",
        description="a whole number from 1 to 4094 with role sriov, left out otherwise",
        ge=1,
        le=4094,
    )
    trust: bool = Field(
        default=False,
        title="Whether guests may change the MAC address of their VF and see all packets, with role sriov",
        description="true or false; true with role sriov only",
    )
    spoof_check: bool = Field(
        default=True,
        title="Whether the NIC drops what guests send with another MAC address than their own, with role sriov",
        description="true or false; false with role sriov only",
    )


class Network(_Section):
    """A VLAN with one IPv4 subnet."""

    name: str = _label("The network's name")
    physnet: str = _label("The physical network that carries it", default="physnet1")
    vlan: int = _whole("The VLAN ID", 1, 4094)
    mtu: int = _whole("The largest packet on it, in bytes without the Ethernet header", 1280, 9000, default=1500)
    subnet: Subnet = Field(
        title="The addresses on it", description="an IPv4 network from /8 to /29, such as 10.101.0.0/24"
    )
    gateway: Address | None = Field(
        default=None, title="The router of the servers", description="an IPv4 address in the subnet"
    )
    endpoint: Address | None = Field(
        default=None,
        title="This host's own address on the VLAN, in a network namespace of its own, to measure against",
        description="an IPv4 address in the subnet, other than the gateway",
    )


class Port(_Section):
    """A server's connection to a network, by vhost-user."""

    network: str = Field(
        title="The network it is on", description="the name of a network of this file", pattern=_LABEL, max_length=32
    )
    address: Address | None = Field(
        default=None,
        title="Its address; OpenStack chooses one where this is left out",
        description="an IPv4 address in the network's subnet that nothing else has",
    )


class Server(_Section):
    """A virtual machine."""

    name: str = _label("The server's name, also its host name", 63)
    vcpus: int = _whole("Its CPUs", 1, 64)
    memory: Memory = Field(
        title="Its memory, from hugepages of 2 MiB",
        description="a size such as 256 MiB or 4 GiB: an even number of MiB, 64 MiB to 1 TiB",
    )
    pinned: Literal[True, False, "auto"] = Field(
        default="auto",
        title="Whether each vCPU has a CPU of its own; auto: as far as the dedicated CPUs last",
        description="true, false or auto",
    )
    forwards: bool = Field(
        default=False,
        title="Whether it forwards packets between its ports (port security is then off)",
        description="true or false",
    )
    ports: tuple[Port, ...] = Field(
        title="Its ports, in the order the guest sees them",
        description="a list of at least one port, each with a network",
        min_length=1,
        strict=False,
    )

    @property
    def memory_mib(self) -> int:
        """Its memory in MiB."""
        return parse_memory(self.memory)


_CPUS = "any of host, pmd, dedicated and shared, each with a CPU list; forbidden, pmd_cores, isolate, prefer"
_NICS = "a list of NICs, each with nic and physnet"
_SERVERS = "a list of servers, each with name, vcpus, memory and ports"


class Host(_Section):
    """One of several hosts of a file; what it leaves out is as the file has it for all."""

    name: str = _label("The host's name")
    address: HostAddress | None = Field(
        default=None, title="Where ssh finds it; this machine itself where this is left out", description=FORM
    )
    cpus: Cpus | None = Field(default=None, title="Its CPU pools, in place of the file's", description=_CPUS)
    nics: tuple[Nic, ...] | None = Field(
        default=None, title="Its NICs for the data plane, in place of the file's", description=_NICS, strict=False
    )
    servers: tuple[Server, ...] | None = Field(
        default=None, title="Its virtual machines, in place of the file's", description=_SERVERS, strict=False
    )


class _Common(_Section):
    name: str = _label("The host's name, or with several hosts that of the site")
    address: HostAddress | None = Field(
        default=None, title="Where ssh finds the host; this machine itself where this is left out", description=FORM
    )
    cpus: Cpus = Field(default=Cpus(), title="The CPU pools", description=_CPUS)
    nics: tuple[Nic, ...] = Field(default=(), title="NICs for the data plane", description=_NICS, strict=False)
    networks: tuple[Network, ...] = Field(
        title="VLAN networks", description="a list of networks, each with name, vlan and subnet", strict=False
    )


class SiteFile(_Common):
    """A file with several hosts: keys next to ``hosts`` apply to each host that does not override them."""

    servers: tuple[Server, ...] = Field(default=(), title="Virtual machines", description=_SERVERS, strict=False)
    hosts: tuple[Host, ...] = Field(
        default=(),
        title="Several hosts, one after another",
        description="a list of 1 to 1000 hosts, each with a name",
        min_length=1,
        max_length=1000,
        strict=False,
    )


class Site(_Common):
    """One host: its CPUs, NICs, networks and servers."""

    servers: tuple[Server, ...] = Field(title="Virtual machines", description=_SERVERS, strict=False)

    _source: Source = PrivateAttr(default_factory=Source)

    def model_post_init(self, context: object) -> None:
        """Keep the source that the loader validates with."""
        if isinstance(context, Source):
            self._source = context

    @property
    def file(self) -> str:
        """The file it was read from; empty when it was not."""
        return self._source.file

    def where(self, *path: str | int) -> str:
        """``FILE:LINE:COLUMN`` of a value, or of the nearest thing around it that the file has."""
        return self._source.where(path)

    def to_json(self) -> dict[str, Any]:
        """The site as plain JSON types; what is left out of the file and has no default is left out."""
        return self.model_dump(mode="json", exclude_none=True)


def site_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    schema = SiteFile.model_json_schema()
    # With several hosts each may have servers of its own.
    schema["anyOf"] = [{"required": ["servers"]}, {"required": ["hosts"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ouchi site"}
