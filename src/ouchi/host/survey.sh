# Prints lines: a subject, a tab, a value. The arguments are names and PCI addresses of NICs.
put() { printf '%s\t%s\n' "$1" "$2"; }

put boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
put allowed "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
put services "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/1/status)"

for folder in /etc /var/lib /boot; do
    if [ -d "$folder" ] && ! [ -w "$folder" ]; then put read-only "$folder"; fi
done

units='irqbalance.service tuned.service NetworkManager.service systemd-networkd.service ovs-vswitchd.service openvswitch-switch.service'
if command -v systemctl >/dev/null; then
    systemctl list-unit-files --no-legend --no-pager $units 2>/dev/null | while read -r unit state _; do put unit "$unit $state"; done
    for unit in $units ouchi-rollback.timer ouchi-rollback.service; do if systemctl -q is-active "$unit" 2>/dev/null; then put active "$unit"; fi; done
fi
put qemu "$(id -u libvirt-qemu 2>/dev/null)"
for program in driverctl /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk; do
    if command -v "$program" >/dev/null; then put program "$program"; fi
done
if [ -d /etc/tuned/profiles ]; then put tuned /etc/tuned/profiles; fi
for file in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    if [ -e "$file" ]; then cpu=${file#/sys/devices/system/cpu/cpu}; put governor "${cpu%%/*}"; fi
done
for nic; do
    grep -lrwsF -e "$nic" /etc/netplan /etc/network/interfaces /etc/network/interfaces.d \
        /etc/NetworkManager/system-connections /etc/systemd/network 2>/dev/null |
        while read -r file; do case ${file##*/} in *ouchi*) ;; *) put naming "$nic $file" ;; esac; done
done
