"""Which kernel driver has a PCI function, now and at every boot; by driverctl.

The state has two members: ``saved``, what driverctl sets at boot, and ``driver``, what drives the function now; each
empty for none.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.changes import Change, State
from ouchi.machine import Machine

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
    address, saved, name = map(shlex.quote, (key, state["saved"], state["driver"]))
    device = shlex.quote(f"/sys/bus/pci/devices/{key}")
    if state["saved"]:
        lines = f"driverctl set-override {address} {saved}\n"
    else:
        lines = (
            f"if [ -e {shlex.quote(f'{FOLDER}/pci-{key}')} ] || [ ! -L {device}/driver ] ||"
            f' [ "$(basename -- "$(readlink -- {device}/driver)")" != {name} ]; then\n'
            # It says no when the kernel has no driver of its own for the function; what counts is looked at below.
            f"    driverctl unset-override {address} || :\nfi\n"
        )
    return lines + (
        f"now=''; if [ -L {device}/driver ]; then now=$(basename -- \"$(readlink -- {device}/driver)\"); fi\n"
        f'if [ "$now" != {name} ]; then\n'
        f"    if [ -n {name} ]; then driverctl --nosave set-override {address} {name}\n"
        f"    else printf '%s\\n' {address} >{device}/driver/unbind; fi\nfi\nsync -f /etc\n"
    )


def words(_key: str, state: State) -> list[str]:
    """Now and at boot."""
    return [f"driver: {state['driver'] or 'none'}", f"at boot: {state['saved'] or 'as the kernel chooses'}"]
