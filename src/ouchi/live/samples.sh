# Counters, before and after $1 seconds; of threads those of ovs-vswitchd and QEMU.
pids=$(grep -lsE '^(ovs-vswitchd|qemu-system-)' /proc/[0-9]*/comm)
sample() {
    section "uptime $1"; cat /proc/uptime
    section "interrupts $1"; cat /proc/interrupts
    section "throttled $1"
    printf '%s\n' /sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count | values
    packets "$1"
    section "stat $1"; grep '^cpu[0-9]' /proc/stat
    section "scheduling $1"
    for comm in $pids; do
        printf '%s\n' "${comm%/comm}"/task/[0-9]*/schedstat "${comm%/comm}"/task/[0-9]*/status "${comm%/comm}"/task/[0-9]*/stat
    done | xargs -r grep -sHE '^([0-9]+ [0-9]+ [0-9]+$|[0-9]+ [(]|State:|nonvoluntary_ctxt_switches:)'
}
sample before; sleep "$1" & once; wait; sample after
