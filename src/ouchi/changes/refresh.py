"""What must be run for changed files to take effect. In the table's order, each once, whatever asked for it.

That one is due is in the journal before the file is changed, so a run that was killed in between leaves it to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ENTRIES = """
for image in /lib/modules/*/vmlinuz /boot/vmlinuz-*; do
    if [ ! -e "$image" ]; then continue; fi
    release=${image#/boot/vmlinuz-}; release=${release#/lib/modules/}; release=${release%/vmlinuz}
    if [ -d "/lib/modules/$release" ]; then kernel-install add "$release" "$image"; fi
done
sync
"""

REFRESHES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "systemd": ("systemctl daemon-reload", 60),
        "modules": ("systemctl restart systemd-modules-load.service", 60),
        "irqbalance": ("systemctl try-restart irqbalance.service", 60),
        "networkd": ("if systemctl -q is-active systemd-networkd.service; then networkctl reload; fi", 60),
        "network manager": ("if systemctl -q is-active NetworkManager.service; then nmcli general reload; fi", 60),
        # The journal says that it was run: after a power cut the disk must say so too.
        "grub": ("update-grub\nsync -f /boot/grub/grub.cfg", 600),
        "kernel entries": (ENTRIES, 600),
        "ovs-vswitchd": ("systemctl try-restart ovs-vswitchd.service openvswitch-switch.service", 120),
    }
)
"""Each refresh's script and how long it may take, in seconds."""
