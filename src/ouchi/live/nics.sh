# Drivers of PCI functions, VFs, and the network configuration.
section drivers
find /sys/bus/pci/devices/*/driver -maxdepth 0 -printf '%p %l\n'
section overrides; grep -sH '' /etc/driverctl.d/*
section functions; find /sys/bus/pci/devices/*/virtfn* -maxdepth 0 -printf '%p %l\n'
section vfs; ip -json link show
section networking  # of netplan only keys alone or at the beginning of a line, and so no password
grep -sHE '^[[:space:]]*(auto|allow-hotplug|iface|interface-name|Name|MACAddress|mac-address|macaddress|set-name)\b|^[[:space:]]+["'\'']?[A-Za-z0-9_.-]+["'\'']?[[:space:]]*:[[:space:]]*([#&{[]|$)|^[[:space:]]*-[[:space:]]' \
    /etc/netplan/*.yaml /etc/network/interfaces /etc/network/interfaces.d/* \
    /etc/systemd/network/*.network /etc/NetworkManager/system-connections/*
