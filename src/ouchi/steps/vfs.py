"""A card's virtual functions: how many, and what each may do. At boot a unit of systemd brings the same about.

The state: ``count``; ``up``, whether the card itself is, without which a function's driver gets no address from it; and
``vfs`` with a member for each function: ``mac``, ``vlan`` (0: none), ``spoofchk``, ``trust``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ouchi.machine import Machine
from ouchi.steps import Change, State

KIND = "virtual functions"

LOOK = r"""
for address; do
    device=/sys/bus/pci/devices/$address count=0
    if [ -r "$device/sriov_numvfs" ]; then count=$(cat "$device/sriov_numvfs"); fi
    printf '%s ' "$count"
    name=$(ls -- "$device/net" 2>/dev/null | head -n 1) || :
    if [ -n "$name" ]; then ip -json link show dev "$name" | tr -d '\n'; fi
    echo
done
"""


MAKE = r"""
device=/sys/bus/pci/devices/$address
probed=$(cat "$device/sriov_drivers_autoprobe" 2>/dev/null) || probed=
if [ "$(cat "$device/sriov_numvfs")" != "$count" ]; then
    echo 0 >"$device/sriov_numvfs"
    if [ "$count" != 0 ]; then
        if [ -n "$probed" ]; then echo 0 >"$device/sriov_drivers_autoprobe"; fi
        echo "$count" >"$device/sriov_numvfs" || { echo "$probed" >"$device/sriov_drivers_autoprobe"; exit 1; }
    fi
fi
name=$(ls -- "$device/net" | head -n 1)
ip link set dev "$name" "$link"
"""

PROBE = r"""
if [ -n "$probed" ]; then echo 1 >"$device/sriov_drivers_autoprobe"; fi

# Lets a driver have function $1 unless one has it. A driver that a card did not answer, as while it is being reset,
# makes up an address, and that of a trusted function takes the place of $2: once more, then.
drive() {
    if [ ! -e "$device/virtfn$1" ] || [ -e "$device/virtfn$1/driver" ]; then return 0; fi
    function=$(readlink -- "$device/virtfn$1")
    for _ in 1 2 3; do
        echo "${function##*/}" >/sys/bus/pci/drivers_probe || return 0
        has=$(cat "$device/virtfn$1/net"/*/address 2>/dev/null) || return 0
        case $has-$2-$link in "$2-$2-up" | *-00:00:00:00:00:00-* | *-down) return 0 ;; esac
        echo "${function##*/}" >"$device/virtfn$1/driver/unbind"
        ip link set dev "$name" vf "$1" mac "$2"
        sleep 1
    done
    echo "the driver of function $1 did not take the address $2 but $has" >&2
    return 1
}
"""


def functions(address: str, vfs: Sequence[Mapping[str, Any]]) -> Change:
    """The card at a PCI address shows these virtual functions."""
    return Change(KIND, address, {"count": len(vfs), "up": True, "vfs": [dict(vf) for vf in vfs]})


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """As sysfs and the card's driver say; a card without a network interface tells nothing of its functions."""
    lines = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.splitlines()
    return {key: _state(*line.partition(" ")[::2]) for key, line in zip(keys, lines, strict=True)}


def _state(count: str, shown: str) -> State:
    link = json.loads(shown)[0] if shown.strip() else {}
    told = link.get("vfinfo_list", [])
    vfs = [
        {
            "mac": str(vf.get("address", "")).lower(),
            "vlan": next((vlan.get("vlan", 0) for vlan in vf.get("vlan_list", [])), 0),
            "spoofchk": bool(vf.get("spoofchk")),
            "trust": bool(vf.get("trust")),
        }
        for vf in told
    ]
    return {"count": int(count), "up": "UP" in link.get("flags", ()), "vfs": vfs if int(count) else []}


def script(key: str, state: State) -> str:
    """Takes the functions away and makes them anew where they differ in number, then sets each.

    Their drivers come last: one that has a function already goes on with the address that the function had before.
    """
    values = {"address": key, "count": str(int(state["count"])), "link": "up" if state["up"] else "down"}
    settings = [
        (
            "mac", vf["mac"], "vlan", str(int(vf["vlan"])),
            "spoofchk", "on" if vf["spoofchk"] else "off", "trust", "on" if vf["trust"] else "off",
        )
        for vf in state["vfs"]
    ]  # fmt: skip
    lines = (
        *(f"{name}={shlex.quote(value)}" for name, value in values.items()),
        MAKE.strip("\n"),
        *(f'ip link set dev "$name" vf {number} {shlex.join(words)}' for number, words in enumerate(settings)),
        PROBE.strip("\n"),
        *(f"drive {number} {shlex.quote(vf['mac'])}" for number, vf in enumerate(state["vfs"])),
    )
    return "\n".join(lines) + "\n"


def words(_key: str, state: State) -> list[str]:
    """The number, and a line for each."""
    yes = {True: "on", False: "off"}
    return [
        f"{state['count']} virtual functions, the card is {'up' if state['up'] else 'down'}",
        *(
            f"vf {number}: {vf['mac']}, VLAN {vf['vlan'] or 'none'}, spoof check {yes[vf['spoofchk']]}, trust {yes[vf['trust']]}"
            for number, vf in enumerate(state["vfs"])
        ),
    ]
