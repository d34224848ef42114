"""The kernel driver of a PCI function, now and at every boot, by driverctl.

The state has two members: ``saved``, the driver that driverctl binds at boot, and ``driver``, the current one; each
empty for none.
"""

from __future__ import annotations

import shlex

from ouchi.steps import Change, Kind, State

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
if [ "$(now)" = vfio-pci ] && [ "$target" != vfio-pci ]; then
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
elif [ -e "/etc/driverctl.d/pci-$address" ] || [ "$(now)" != "$target" ]; then
    # It complains when the kernel has no driver of its own for the function; what counts is looked at below.
    driverctl unset-override "$address" || :
fi
if [ "$(now)" != "$target" ]; then
    if [ -n "$target" ]; then driverctl --nosave set-override "$address" "$target"
    else printf '%s\n' "$address" >"$device/driver/unbind"
    fi
fi
sync -f /etc
"""


def driver(address: str, name: str) -> Change:
    """The function at a PCI address is driven by ``name``, at every boot too."""
    return Change("driver", address, {"saved": name, "driver": name})


class DriverKind(Kind):
    """The override and the driver of a function by its PCI address."""

    name = "driver"
    look_script = LOOK

    def parse(self, line: str) -> State:
        return dict(zip(("saved", "driver"), line.split("|"), strict=True))

    def script(self, key: str, state: State) -> str:
        """Sets or unsets the override; then binds the function to a driver that is not the kernel's choice, or to none."""
        values = {"address": key, "saved": state["saved"], "target": state["driver"]}
        return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()) + PUT.lstrip("\n")

    def describe(self, _key: str, state: State) -> list[str]:
        return [f"driver: {state['driver'] or 'none'}", f"at boot: {state['saved'] or 'as the kernel chooses'}"]
