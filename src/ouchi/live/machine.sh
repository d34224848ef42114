# The machine as it is now.
section user; id -u
section grub; grep -hE '^[[:space:]]*linux' /boot/grub/grub.cfg
section kernel; cat /proc/version_signature || cat /proc/version
section cpu; cd /sys/devices/system/cpu
printf '%s\n' isolated nohz_full smt/control cpu[0-9]*/cpufreq/scaling_governor \
    cpu[0-9]*/cpuidle/state*/name cpu[0-9]*/cpuidle/state*/latency cpu[0-9]*/cpuidle/state*/disable \
    cpu[0-9]*/power/pm_qos_resume_latency_us | values
section latency; od -An -td4 -N4 /dev/cpu_dma_latency
section meminfo; grep -E '^(Hugepagesize|HugePages_Total):' /proc/meminfo
section mounts; grep ' hugetlbfs ' /proc/mounts
section affinities; cd /proc/irq
printf '%s\n' default_smp_affinity [0-9]*/smp_affinity_list [0-9]*/effective_affinity_list | values
section irqbalance
for pid in $(grep -lsx irqbalance /proc/[0-9]*/comm); do
    pid=${pid#/proc/}; pid=${pid%/comm}
    echo "pid:$pid"
    tr '\0' '\n' <"/proc/$pid/environ" | grep '^IRQBALANCE_'
    [ -r "/proc/$pid/environ" ] || echo unreadable
done
grep -h '^IRQBALANCE_BANNED_' /etc/default/irqbalance | sed 's/^/default:/'
section threads; cd /proc
printf '%s\n' [0-9]*/task/[0-9]*/status |
    xargs -r grep -sHE '^(Name|State|PPid|VmSize|Cpus_allowed_list):'
section guests
grep -lsE '^qemu-system-' [0-9]*/comm | while read -r file; do
    file=/proc/${file%comm}cmdline; printf '%s:' "$file"; tr '\0\n' '  ' <"$file"; echo
done
section drivers
find /sys/bus/pci/devices/*/driver -maxdepth 0 -printf '%p %l\n'
section overrides; grep -sH '' /etc/driverctl.d/*
section functions; find /sys/bus/pci/devices/*/virtfn* -maxdepth 0 -printf '%p %l\n'
section vfs; ip -json link show
section networking  # of netplan what stands for itself or begins something, and so no password
grep -sHE '^[[:space:]]*(auto|allow-hotplug|iface|interface-name|Name|MACAddress|mac-address|macaddress|set-name)\b|^[[:space:]]+["'\'']?[A-Za-z0-9_.-]+["'\'']?[[:space:]]*:[[:space:]]*([#&{[]|$)|^[[:space:]]*-[[:space:]]' \
    /etc/netplan/*.yaml /etc/network/interfaces /etc/network/interfaces.d/* \
    /etc/systemd/network/*.network /etc/NetworkManager/system-connections/*
section qemu; qemu-system-x86_64 --version || qemu-system-aarch64 --version
exit 0
