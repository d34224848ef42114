"""Refreshes: commands that make changed files take effect. They run in the table's order, each once.

That one is due is in the journal before the file is changed, so a run that is killed in between leaves it to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ouchi.core.instance import Instance

LINE = f"{Instance().host}/cmdline"
"""The kernel's command line without ouchi's parameters, on hosts that have no file of it of their own."""

ENTRIES = f"""
# Without a file kernel-install takes the running kernel's line, which may have ouchi's parameters.
if [ ! -e /etc/kernel/cmdline ] && [ ! -e /usr/lib/kernel/cmdline ] && [ -e {LINE} ]; then
    conf=$(mktemp -d)
    trap 'rm -r -- "$conf"' EXIT
    for folder in /usr/lib/kernel /etc/kernel; do
        for file in "$folder"/*; do if [ -f "$file" ]; then cp -- "$file" "$conf"; fi; done
    done
    cp {LINE} "$conf/cmdline"
    export KERNEL_INSTALL_CONF_ROOT="$conf"
fi
# Entries that are there are made anew; a kernel that has none gets none.
for modules in /lib/modules/*; do
    release=${{modules##*/}}
    found=
    for folder in /efi /boot /boot/efi; do
        for entry in "$folder/loader/entries"/*-"$release".conf "$folder/loader/entries"/*-"$release"+*.conf; do
            if [ -e "$entry" ]; then found=$entry; fi
        done
    done
    for image in "$modules/vmlinuz" "/boot/vmlinuz-$release"; do
        if [ -n "$found" ] && [ -e "$image" ]; then kernel-install add "$release" "$image"; break; fi
    done
done
sync
"""

REFRESHES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "systemd": ("systemctl daemon-reload", 60),
        "modules": ("systemctl restart systemd-modules-load.service", 60),
        "irqbalance": ("systemctl try-restart irqbalance.service", 60),
        # It reads a profile that is active already, such as a former plan's, only when it starts.
        "tuned": ("systemctl try-restart tuned.service", 120),
        "networkd": ("if systemctl -q is-active systemd-networkd.service; then networkctl reload; fi", 60),
        # Without "conf" it writes /etc/resolv.conf anew as well, empty where another program configures the network.
        "network manager": ("if systemctl -q is-active NetworkManager.service; then nmcli general reload conf; fi", 60),
        # The journal says that it was run: after a power cut the disk must say so too.
        "grub": ("update-grub\nsync -f /boot/grub/grub.cfg", 600),
        "kernel entries": (ENTRIES, 600),
        "ovs-vswitchd": ("systemctl try-restart ovs-vswitchd.service openvswitch-switch.service", 120),
    }
)
"""Each refresh's script and how long it may take, in seconds."""
