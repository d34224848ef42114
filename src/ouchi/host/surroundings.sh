# Prints lines: a subject, a tab, what is said of it. The arguments are names and PCI addresses of network cards.
say() { printf '%s\t%s\n' "$1" "$2"; }

say boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
say init "$(cat /proc/1/comm 2>/dev/null)"
say allowed "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
say services "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/1/status)"

for folder in /etc /var/lib /boot; do
    if [ -d "$folder" ] && ! [ -w "$folder" ]; then say read-only "$folder"; fi
done

units='irqbalance.service tuned.service NetworkManager.service systemd-networkd.service ovs-vswitchd.service openvswitch-switch.service'
if command -v systemctl >/dev/null; then
    systemctl list-unit-files --no-legend --no-pager $units 2>/dev/null | while read -r unit state _; do say unit "$unit $state"; done
    for unit in $units ouchi-guard.timer ouchi-guard.service; do if systemctl -q is-active "$unit" 2>/dev/null; then say active "$unit"; fi; done
fi
for user in libvirt-qemu openvswitch; do
    if number=$(id -u "$user" 2>/dev/null); then say user "$user $number:$(id -g "$user")"; fi
done
for program in driverctl update-alternatives ovs-vsctl tuned-adm ip /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk; do
    if command -v "$program" >/dev/null; then say program "$program"; fi
done
if [ -d /etc/tuned/profiles ]; then say tuned /etc/tuned/profiles; fi
for file in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    if [ -e "$file" ]; then cpu=${file#/sys/devices/system/cpu/cpu}; say governor "${cpu%%/*}"; fi
done
for card; do
    case $card in *:*:*.*)
        for member in "/sys/bus/pci/devices/$card/iommu_group/devices"/*; do
            if [ ! -e "$member" ] || [ "${member##*/}" = "$card" ]; then continue; fi
            driver=$(readlink -- "$member/driver") || driver=
            say group "$card ${member##*/} ${driver##*/}"
        done
        continue ;;
    esac
    grep -lrwsF -e "$card" /etc/netplan /etc/network/interfaces /etc/network/interfaces.d \
        /etc/NetworkManager/system-connections /etc/systemd/network 2>/dev/null |
        while read -r file; do case ${file##*/} in *ouchi*) ;; *) say naming "$card $file" ;; esac; done
done
