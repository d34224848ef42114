"""Reads stream files: a YAML description of the frames that ``ouchi bench --stream`` sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from ouchi.core.errors import BadInput, Finding
from ouchi.machine import CommandFailed, Machine
from ouchi.measure.generator.flows import PORTS_THEN_ADDRESSES, Vary
from ouchi.measure.generator.frames import GENEVE_PORT, VXLAN_PORT, Headers, Tunnel, min_size
from ouchi.measure.generator.pcap import MAX_BYTES
from ouchi.measure.generator.replay import replay_stream
from ouchi.measure.generator.stream_model import FrameHeaders, StreamFile
from ouchi.measure.generator.template import (
    CAPTURE_SIZE,
    UDP_IPV4,
    CaptureTemplate,
    HeaderTemplate,
    Template,
    mirrored,
)
from ouchi.site.schema_errors import schema_error
from ouchi.site.source import LARGEST, Path, Source, parse

_REGULAR, _TYPE = 0o100000, 0o170000
_TUNNEL_PORTS = {"vxlan": VXLAN_PORT, "geneve": GENEVE_PORT}


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream file's template, frame size and number of flows."""

    template: Template
    size: str
    flows: int


def read_stream_file(machine: Machine, path: str) -> StreamSpec:
    """Read a stream file, and the capture it names. Raises BadInput with all errors, by line and column."""
    source = parse(read_regular(machine, path, LARGEST), path)
    file = _validated(source)
    if file.capture is not None:
        return _capture_spec(machine, source, file)
    template = HeaderTemplate(*_both_directions(file), description=PurePath(path).name)
    size = str(min_size(template.headers[0]) if file.size is None else file.size)
    _check_streams(source, template, size, file.flows)
    return StreamSpec(template, size, file.flows)


def read_regular(machine: Machine, path: str, max_bytes: int) -> bytes:
    """The bytes of a regular file, up to ``max_bytes`` + 1. Raises BadInput for anything else, such as a FIFO."""
    try:
        mode = int(machine.run(("stat", "--dereference", "--format=%f", "--", path)).stdout, 16)
        if mode & _TYPE != _REGULAR:
            raise BadInput.of("this is not a regular file", where=path, expected="a file")
        return machine.read_bytes(path, max_bytes + 1)
    except CommandFailed as reason:
        found = reason.result.stderr.strip().rpartition(": ")[2]
    except OSError as reason:
        found = reason.strerror or str(reason)
    raise BadInput.of("the file cannot be read", where=path, found=found, expected="a readable file")


def _validated(source: Source) -> StreamFile:
    """The file as a model. Raises BadInput with all errors of its structure."""
    data = {} if source.data is None else source.data
    wrong = list(source.twice)
    try:
        file = StreamFile.model_validate(data)
    except ValidationError as reason:
        wrong += [schema_error(details, source, StreamFile) for details in reason.errors()]
    if wrong:
        raise BadInput([finding for _, finding in sorted(wrong, key=lambda placed: placed[0])])
    return file


def _capture_spec(machine: Machine, source: Source, file: StreamFile) -> StreamSpec:
    others = sorted(file.model_fields_set - {"capture"})
    if others:
        raise BadInput.of(
            "a capture cannot be combined with other keys",
            where=source.where((others[0],)),
            found=", ".join(others),
            expected="capture alone: its frames are sent as they are",
        )
    path = str(PurePath(source.file).parent / str(file.capture))
    stream, notes = replay_stream("capture", read_regular(machine, path, MAX_BYTES), path)
    return StreamSpec(CaptureTemplate(stream, PurePath(path).name, notes), CAPTURE_SIZE, 1)


def _both_directions(file: StreamFile) -> tuple[tuple[Headers, Headers], tuple[Vary, ...]]:
    """The headers of each direction, and the fields that vary."""
    headers = _headers(file, UDP_IPV4)
    if file.tunnel:
        inner = file.tunnel.inner
        macs = replace(UDP_IPV4, src_mac=inner.src_mac, dst_mac=inner.dst_mac)
        tunnel = Tunnel(file.tunnel.kind, file.tunnel.vni, _headers(inner, macs))
        port = headers.dst_port if file.dst_port is not None else _TUNNEL_PORTS[file.tunnel.kind]
        headers = replace(headers, tunnel=tunnel, dst_port=port)
    vary: tuple[Vary, ...] = PORTS_THEN_ADDRESSES
    if file.vary is not None:
        vary = tuple(Vary(one.field, one.kind, one.step, tuple(one.values)) for one in file.vary)
    return (headers, mirrored(headers)), vary


def _headers(file: FrameHeaders, default: Headers) -> Headers:
    given = {
        key: value for key in ("src_ip", "dst_ip", "src_port", "dst_port") if (value := getattr(file, key)) is not None
    }
    return replace(default, vlans=tuple(file.vlans), protocol=file.protocol, **given)


def _check_streams(source: Source, template: HeaderTemplate, size: str, flows: int) -> None:
    """Raise BadInput with the position of everything that no frame can hold, in either direction."""
    macs = (UDP_IPV4.src_mac, UDP_IPV4.dst_mac)
    for direction in range(2):
        try:
            template.stream(direction, "stream", size, flows=flows, macs=macs)
        except BadInput as problem:
            raise BadInput(dict.fromkeys(_located(finding, source) for finding in problem.findings)) from None


def _located(finding: Finding, source: Source) -> Finding:
    """A finding about ``stream.KEY.KEY`` with its line and column."""
    path = tuple(part for part in finding.where.split(".")[1:] if part != "headers")
    return replace(finding, where=source.where(_of_list(path, source.data)))


def _of_list(path: tuple[str, ...], data: Any) -> Path:
    """The path with the index of a varied field in place of its name."""
    if len(path) < 2 or path[0] != "vary" or not isinstance(data, Mapping):
        return path
    names = [item.get("field") for item in data.get("vary", [])]
    return ("vary", names.index(path[1])) if path[1] in names else ("vary",)
