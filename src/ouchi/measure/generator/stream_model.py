"""The keys of a stream file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1, max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FrameHeaders(_Model):
    """The headers of a frame; what is left out has the default of the path."""

    vlans: list[int] = Field(default=[], description="VLAN ids, outermost first: one is 802.1Q, two are QinQ (802.1ad)")
    src_ip: Text | None = Field(default=None, description="an IPv4 or IPv6 address")
    dst_ip: Text | None = Field(default=None, description="an IPv4 or IPv6 address")
    protocol: Literal["udp", "tcp"] = Field(default="udp", description="udp or tcp")
    src_port: int | None = Field(default=None, description="1 to 65535")
    dst_port: int | None = Field(default=None, description="1 to 65535")


class InnerHeaders(FrameHeaders):
    """The inner frame of a tunnel."""

    src_mac: Text = Field(default="02:00:00:00:00:01", description="six bytes like 02:00:00:00:00:01")
    dst_mac: Text = Field(default="02:00:00:00:00:02", description="six bytes like 02:00:00:00:00:02")


class TunnelHeaders(_Model):
    """A tunnel over UDP."""

    kind: Literal["vxlan", "geneve"] = Field(description="vxlan or geneve")
    vni: int = Field(description="the network identifier, 0 to 16777215")
    inner: InnerHeaders = Field(default=InnerHeaders(), description="the headers of the inner frame")


class VariedField(_Model):
    """A header field that varies from frame to frame."""

    field: Text = Field(
        description="src_port, dst_port, src_ip, dst_ip, vlan or outer_vlan; with inner_ before it, of the inner frame"
    )
    kind: Literal["increment", "random", "list"] = Field(default="increment", description="increment, random or list")
    step: int = Field(default=1, description="1 or more; for increment and random")
    values: list[int | str] = Field(default=[], description="for list: numbers, or addresses as text")


class StreamFile(FrameHeaders):
    """A stream file: headers of the frames sent from the left (those from the right are mirrored), or a capture."""

    size: int | Text | None = Field(
        default=None, description="bytes with FCS (64 to 9000) or a mix such as imix; by default the smallest possible"
    )
    flows: int = Field(default=1, description="the number of flows, 1 to 10000000")
    tunnel: TunnelHeaders | None = Field(default=None, description="a VXLAN or Geneve tunnel with an inner frame")
    vary: list[VariedField] | None = Field(
        default=None, description="the fields that vary, the fastest first; by default src_port, then src_ip"
    )
    capture: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="a pcap or pcapng file, relative to this file, that is replayed instead"
    )
