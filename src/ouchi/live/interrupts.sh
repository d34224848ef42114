# Affinity of interrupts, and irqbalance.
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
