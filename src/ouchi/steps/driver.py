"""Which kernel driver has a PCI function, now and at every boot; by driverctl.

The state has two members: ``saved``, what driverctl sets at boot, and ``driver``, what drives the function now; each
empty for none.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, State

KIND = "driver"
FOLDER = "/etc/driverctl.d"

LOOK = r"""
for address; do
    saved='' driver=''
    if [ -r "/etc/driverctl.d/pci-$address" ]; then read -r saved <"/etc/driverctl.d/pci-$address" || :; fi
    if [ -L "/sys/bus/pci/devices/$address/driver" ]; then
        driver=$(readlink -- "/sys/bus/pci/devices/$address/driver"); driver=${driver##*/}
    fi
    printf '%s|%s\n' "$saved" "$driver"
done
"""


PUT = r"""
device=/sys/bus/pci/devices/$address
now() { if [ -L "$device/driver" ]; then basename -- "$(readlink -- "$device/driver")"; fi; }
# The kernel would wait, without end, for a program that has the function open through VFIO.
if [ "$(now)" = vfio-pci ] && [ "$wanted" != vfio-pci ]; then
    group=$(basename -- "$(readlink -- "$device/iommu_group")")
    user=$(find /proc/[0-9]*/fd -lname "/dev/vfio/$group" -print -quit 2>/dev/null) || :
    if [ -n "$user" ]; then
        user=${user#/proc/}
        user=${user%%/*}
        echo "process $user ($(cat "/proc/$user/comm")) has $address open" >&2
        exit 1
    fi
fi
if [ -n "$saved" ]; then driverctl set-override "$address" "$saved"
elif [ -e "/etc/driverctl.d/pci-$address" ] || [ "$(now)" != "$wanted" ]; then
    # It complains when the kernel has no driver of its own for the function; what counts is looked at below.
    driverctl unset-override "$address" || :
fi
if [ "$(now)" != "$wanted" ]; then
    if [ -n "$wanted" ]; then driverctl --nosave set-override "$address" "$wanted"
    else printf '%s\n' "$address" >"$device/driver/unbind"
    fi
fi
sync -f /etc
"""


def driver(address: str, name: str) -> Change:
    """The function at a PCI address is driven by ``name``, at every boot too."""
    return Change(KIND, address, {"saved": name, "driver": name})


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """Both members for each address."""
    lines = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.splitlines()
    return {
        key: dict(zip(("saved", "driver"), line.split("|"), strict=True)) for key, line in zip(keys, lines, strict=True)
    }


def script(key: str, state: State) -> str:
    """Sets or unsets the override; where the function had no driver or another one than that of its own, puts that back."""
    values = {"address": key, "saved": state["saved"], "wanted": state["driver"]}
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()) + PUT.lstrip("\n")


def words(_key: str, state: State) -> list[str]:
    """Now and at boot."""
    return [f"driver: {state['driver'] or 'none'}", f"at boot: {state['saved'] or 'as the kernel chooses'}"]
