"""The shell scripts that read a live host: few, each reading much, because each may cost a round trip to it.

What they print are sections, each begun by a line ``@@ NAME``; files are shown as ``PATH:LINE`` for every line
(``grep -H``), so that thousands of small ones need one program. They change nothing and need only what every Debian
has. What only root may read is missing for others; :mod:`ouchi.doctor.live` says so.
"""

from __future__ import annotations

_HEAD = """\
LC_ALL=C; PATH=$PATH:/usr/sbin:/sbin; export LC_ALL PATH; exec 2>/dev/null
section() { printf '@@ %s\\n' "$1"; }
values() { xargs -r grep -sH ''; }
"""

SAMPLES = (
    _HEAD
    + """\
sample() {
    section "uptime $1"; cat /proc/uptime
    section "interrupts $1"; cat /proc/interrupts
    section "throttled $1"
    printf '%s\\n' /sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count | values
}
sample before; sleep "$1"; sample after
exit 0
"""
)
"""What counts up, before and after ``$1`` seconds."""

MACHINE = (
    _HEAD
    + """\
section user; id -u
section grub; grep -hE '^[[:space:]]*linux' /boot/grub/grub.cfg
section kernel; cat /proc/version_signature || cat /proc/version
section cpu; cd /sys/devices/system/cpu
printf '%s\\n' isolated nohz_full offline smt/control cpu[0-9]*/cpufreq/scaling_governor \\
    cpu[0-9]*/cpuidle/state*/name cpu[0-9]*/cpuidle/state*/latency cpu[0-9]*/cpuidle/state*/disable | values
section latency; od -An -td4 -N4 /dev/cpu_dma_latency
section meminfo; grep -E '^(Hugepagesize|HugePages_Total):' /proc/meminfo
section mounts; grep ' hugetlbfs ' /proc/mounts
section affinities; cd /proc/irq
printf '%s\\n' default_smp_affinity [0-9]*/smp_affinity_list [0-9]*/effective_affinity_list | values
section irqbalance
for pid in $(grep -lsx irqbalance /proc/[0-9]*/comm); do
    pid=${pid#/proc/}; pid=${pid%/comm}
    echo "pid:$pid"
    tr '\\0' '\\n' <"/proc/$pid/environ" | grep '^IRQBALANCE_'
    [ -r "/proc/$pid/environ" ] || echo unreadable
done
section threads; cd /proc
printf '%s\\n' [0-9]*/task/[0-9]*/status |
    xargs -r grep -sHE '^(Name|State|VmSize|Cpus_allowed_list):'
section guests
grep -lsE '^qemu-system-' [0-9]*/comm | while read -r file; do
    file=/proc/${file%comm}cmdline; printf '%s:' "$file"; tr '\\0\\n' '  ' <"$file"; echo
done
section drivers
find /sys/bus/pci/devices/*/driver -maxdepth 0 -printf '%p %l\\n'
section overrides; grep -sH '' /etc/driverctl.d/*
section functions; find /sys/bus/pci/devices/*/virtfn* -maxdepth 0 -printf '%p %l\\n'
section vfs; ip -json link show
section networking
grep -sHE '^[[:space:]]*(auto|allow-hotplug|iface|interface-name|Name|MACAddress|mac-address|macaddress|set-name)\\b|^[[:space:]]+[A-Za-z0-9_.-]+:[[:space:]]*$' \\
    /etc/netplan/*.yaml /etc/network/interfaces /etc/network/interfaces.d/* \\
    /etc/systemd/network/*.network /etc/NetworkManager/system-connections/*
section qemu; qemu-system-x86_64 --version || qemu-system-aarch64 --version
exit 0
"""
)
"""The machine as it is now."""

SWITCH = (
    _HEAD
    + """\
ask() {
    section "$1"; name=$1; shift
    timeout 4 "$@" 2>&1 || section "$name failed"
}
own=$1; ours=$2; packaged=$3; shared=$4
if [ -e "$own/db.sock" ] || [ -e "$own/ovs-vswitchd.pid" ]; then whose=ours; run=$own; folder=$ours
elif [ -e "$packaged/db.sock" ] || [ -e "$packaged/ovs-vswitchd.pid" ]; then whose=packaged; run=$packaged; folder=$shared
elif [ -e /etc/systemd/system/multi-user.target.wants/openvswitch-switch.service ]; then
    whose=enabled; run=$packaged; folder=$shared
else section whose; echo none; exit 0; fi
section whose; echo "$whose"
section run; echo "$run"
section sockets; echo "$folder"
section pid; cat "$run/ovs-vswitchd.pid"; pid=$(cat "$run/ovs-vswitchd.pid")
section exe; readlink "/proc/$pid/exe"
section alternative; readlink -f /usr/sbin/ovs-vswitchd
section connected; grep -oE ' 03 +[0-9]+ /.*' /proc/net/unix
section folder; stat -c '%a %U' "$folder"
ask tables ovs-vsctl "--db=unix:$run/db.sock" --no-wait --timeout=3 --format=json -- \\
    --columns=other_config,dpdk_initialized,dpdk_version,ovs_version list Open_vSwitch -- \\
    --columns=name,datapath_type,ports list Bridge -- \\
    --columns=name,type,error,status,link_state,options,mtu list Interface
[ -d "/proc/$pid" ] || exit 0
OVS_RUNDIR=$run; export OVS_RUNDIR
target="$run/ovs-vswitchd.$pid.ctl"
ask queues ovs-appctl --timeout=3 -t "$target" dpif-netdev/pmd-rxq-show
ask mempools ovs-appctl --timeout=3 -t "$target" netdev-dpdk/get-mempool-info
exit 0
"""
)
"""Open vSwitch: ouchi's own in ``$1`` where it is, with its sockets' folder ``$2``, else the package's in ``$3``."""
