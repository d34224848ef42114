"""The virtual functions (VFs) of a NIC and their settings. At boot a unit of systemd brings the same about.

The state: ``count``; ``up``, whether the NIC itself is, without which a VF's driver gets no address from it; and
``vfs`` with a member for each VF: ``mac``, ``vlan`` (0: none), ``spoofchk``, ``trust``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ouchi.steps import Change, Kind, State

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
        # The program printf: dash's own shows no reason.
        failed=$({ env LC_ALL=C printf '%s\n' "$count" >"$device/sriov_numvfs"; } 2>&1) || {
            if [ -n "$probed" ]; then echo "$probed" >"$device/sriov_drivers_autoprobe"; fi
            case $failed in
                *'No space'*) failed="$failed: no MSI-X interrupt vectors or bus numbers are left for so many (ENOSPC)" ;;
                *'allocate memory'*) failed="$failed: no room for their registers; Above 4G Decoding in the firmware, or pci=realloc (ENOMEM)" ;;
                *busy*) failed="$failed: VFs are there and in use (EBUSY)" ;;
            esac
            echo "$failed" >&2
            exit 1
        }
    fi
fi
name=$(ls -- "$device/net" | head -n 1)
ip link set dev "$name" "$link"
"""

PROBE = r"""
if [ -n "$probed" ]; then echo 1 >"$device/sriov_drivers_autoprobe"; fi

# Binds VF $1 to its driver unless it has one. A driver that the NIC did not answer, as while it is being reset, makes
# up an address, and that of a trusted VF takes the place of $2: once more, then.
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
    echo "the driver of VF $1 did not take the address $2 but $has" >&2
    return 1
}
"""


def vfs(address: str, settings: Sequence[Mapping[str, Any]]) -> Change:
    """The NIC at a PCI address has VFs with these settings."""
    return Change("VFs", address, {"count": len(settings), "up": True, "vfs": [dict(one) for one in settings]})


class VfsKind(Kind):
    """As sysfs and the NIC's driver show them; a NIC without a network interface shows no settings."""

    name = "VFs"
    look_script = LOOK

    def parse(self, line: str) -> State:
        return parse(*line.partition(" ")[::2])

    def script(self, key: str, state: State) -> str:
        """Removes the VFs and makes them again where their number differs, then sets each.

        Their drivers come last: one that has a VF already keeps the address that the VF had before.
        """
        values = {"address": key, "count": str(int(state["count"])), "link": "up" if state["up"] else "down"}
        lines = (
            *(f"{name}={shlex.quote(value)}" for name, value in values.items()),
            MAKE.strip("\n"),
            *(f'ip link set dev "$name" vf {number} {_settings(vf)}' for number, vf in enumerate(state["vfs"])),
            PROBE.strip("\n"),
            *(f"drive {number} {shlex.quote(vf['mac'])}" for number, vf in enumerate(state["vfs"])),
        )
        return "\n".join(lines) + "\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return [
            f"{state['count']} VFs, the NIC is {'up' if state['up'] else 'down'}",
            *(
                f"VF {number}: {vf['mac']}, VLAN {vf['vlan'] or 'none'}, spoof check {_switch(vf['spoofchk'])},"
                f" trust {_switch(vf['trust'])}"
                for number, vf in enumerate(state["vfs"])
            ),
        ]


def parse(count: str, shown: str) -> State:
    """The state in ``sriov_numvfs`` and in what ``ip -json link show`` prints."""
    link = json.loads(shown)[0] if shown.strip() else {}
    found = [
        {
            "mac": str(vf.get("address", "")).lower(),
            "vlan": next((vlan.get("vlan", 0) for vlan in vf.get("vlan_list", [])), 0),
            "spoofchk": bool(vf.get("spoofchk")),
            "trust": bool(vf.get("trust")),
        }
        for vf in link.get("vfinfo_list", [])
    ]
    return {"count": int(count), "up": "UP" in link.get("flags", ()), "vfs": found if int(count) else []}


def _settings(vf: Mapping[str, Any]) -> str:
    """The words of ``ip link set vf``."""
    settings = {"mac": vf["mac"], "vlan": str(int(vf["vlan"]))}
    settings |= {key: _switch(vf[key]) for key in ("spoofchk", "trust")}
    return " ".join(f"{key} {shlex.quote(value)}" for key, value in settings.items())


def _switch(on: bool) -> str:
    return "on" if on else "off"
