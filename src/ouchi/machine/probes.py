"""Probes: information about a host that is in no file, from ioctls and programs."""

from __future__ import annotations

import array
import fcntl
import os
import re
import socket
import struct
from collections.abc import Callable

from ouchi.machine import CommandFailed, Result

_SIOCETHTOOL = 0x8946  # <linux/sockios.h>
_GET_DRIVER = 0x00000003  # ETHTOOL_GDRVINFO in <linux/ethtool.h>
_GET_CHANNELS = 0x0000003C  # ETHTOOL_GCHANNELS
_LONGEST_NAME = 15  # IFNAMSIZ without the final zero
# struct ethtool_drvinfo: cmd, driver, version, fw_version, bus_info, erom_version, reserved, five counters.
_DRIVER_INFO = struct.Struct("=I32s32s32s32s32s12s5I")
# struct ethtool_channels: cmd; the most of receive, transmit, other and combined ones; and how many there are.
_CHANNELS = struct.Struct("=9I")
_REQUEST = struct.Struct("@16sP16x")  # struct ifreq: a name, and a pointer in a union of 24 bytes
_SECONDS = 5.0
_LINE = re.compile(r"^([a-z-]+):[ \t]*(.*)$", re.MULTILINE)
_DRIVER_LINES = {"driver": "driver", "version": "version", "firmware": "firmware-version", "bus": "bus-info"}


def local_probe(run: Callable[..., Result], name: str) -> str:
    """The text of a probe (see :meth:`ouchi.machine.Reader.probe`); empty where it is not available."""
    if name == "session":
        return session_of(os.environ.get("SSH_CONNECTION", ""))
    if name == "ovs-version":
        return ovs_version(_output(run, "ovs-vsctl", "--version"))
    if name == "rdma":
        return _output(run, "rdma", "resource", "show", "qp")
    kind, _, interface = name.partition("/")
    fits = 0 < len(os.fsencode(interface)) <= _LONGEST_NAME
    return _ethtool(interface) if kind == "ethtool" and fits else ""


def session_of(connection: str) -> str:
    """The local address of an ssh session: the third field of sshd's ``SSH_CONNECTION``; empty without one."""
    words = connection.split()
    return words[2] if len(words) == 4 else ""


def ethtool_text(driver: str, channels: str) -> str:
    """The text of the probe from the output of ``ethtool -i`` and ``ethtool -l``; empty when the first is."""
    fields = dict(_LINE.findall(driver))
    if not fields:
        return ""
    lines = [f"{key}: {fields.get(name, '').strip()}\n" for key, name in _DRIVER_LINES.items()]
    now = channels.partition("Current hardware settings")[2]
    counts = {key: int(value) for key, value in re.findall(r"^(RX|TX|Combined):\s+([0-9]{1,9})$", now, re.MULTILINE)}
    if counts:
        both = counts.get("Combined", 0)
        lines += [f"{kind.lower()} queues: {counts.get(kind, 0) + both}\n" for kind in ("RX", "TX")]
    return "".join(lines)


def ovs_version(output: str) -> str:
    """The version in the output of ``ovs-vsctl --version``; empty when there is none."""
    match = re.search(r"\(Open vSwitch\) ([0-9][0-9.]*)", output)
    return match[1] if match else ""


def _ethtool(interface: str) -> str:
    info = _ioctl(interface, _DRIVER_INFO.pack(_GET_DRIVER, b"", b"", b"", b"", b"", b"", 0, 0, 0, 0, 0))
    if not info:
        return ""
    _, driver, version, firmware, bus, *_ = _DRIVER_INFO.unpack(info)
    fields = {"driver": driver, "version": version, "firmware": firmware, "bus": bus}
    lines = [f"{key}: {_text(value)}\n" for key, value in fields.items()]
    if counts := _ioctl(interface, _CHANNELS.pack(_GET_CHANNELS, 0, 0, 0, 0, 0, 0, 0, 0)):
        receive, transmit, _, both = _CHANNELS.unpack(counts)[5:]
        lines += [f"rx queues: {receive + both}\n", f"tx queues: {transmit + both}\n"]
    return "".join(lines)


def _ioctl(interface: str, command: bytes) -> bytes:
    """The result of an ethtool ioctl, as long as the command; empty when it fails."""
    buffer = array.array("B", command)
    try:
        request = _REQUEST.pack(os.fsencode(interface), buffer.buffer_info()[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except (OSError, struct.error):  # no such interface, or its driver does not support it
        return b""
    return buffer.tobytes()


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode("ascii", errors="replace").strip()


def _output(run: Callable[..., Result], *argv: str) -> str:
    try:
        return run(argv, timeout=_SECONDS).stdout
    except CommandFailed:
        return ""
