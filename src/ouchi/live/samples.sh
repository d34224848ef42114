# Counters, before and after $1 seconds.
sample() {
    section "uptime $1"; cat /proc/uptime
    section "interrupts $1"; cat /proc/interrupts
    section "throttled $1"
    printf '%s\n' /sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count | values
    packets "$1"
}
sample before; sleep "$1" & once; wait; sample after
