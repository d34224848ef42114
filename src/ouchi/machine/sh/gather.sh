# Prints all files that facts are read from, with few processes. ouchi.machine.gather reads the output.
#
# $1 is a random mark. A line with it and a section's name precedes each section:
#   names     kind path NUL target NUL: existing names, links before what is behind them
#   texts     path NUL line NEWLINE: files, line by line
#   drivers   path NUL text NUL: the PMD information of DPDK's drivers
#   ethtool   interface NUL, output of ethtool -i NUL, output of ethtool -l NUL
#   rdma      output of rdma resource show qp, where there are RDMA devices
#   ovs       output of ovs-vsctl --version
#   end       empty: the output is complete
mark=$1
export LC_ALL=C
cpu=/sys/devices/system/cpu node=/sys/devices/system/node net=/sys/class/net pci=/sys/bus/pci/devices
groups=/sys/kernel/iommu_groups

section() { printf '\n%s %s\n' "$mark" "$1"; }
names() { find "$@" -printf '%y%p\0%l\0'; }
paths() { printf '%s\0' "$@"; }
lines() { xargs -0 -r grep -saZH ''; }
texts() { paths "$@" | lines; }
# Files that grow with the number of routes: only the host's own addresses and its default routes are read.
some() {
    path=$1
    shift
    grep -sa -m 100000 "$@" -- "$path" | while IFS= read -r line; do printf '%s\0%s\n' "$path" "$line"; done
}

everything() {
    section names
    names $cpu -mindepth 1 -maxdepth 1 -name 'cpu[0-9]*'
    names $cpu/cpu[0-9]*/ -mindepth 1 -maxdepth 1 -type l -name cpufreq
    names $cpu/cpu[0-9]*/ -mindepth 1 -maxdepth 1 -name cpu_capacity
    names $node $net $pci $groups /sys/class/iommu /sys/firmware/acpi/tables -mindepth 1 -maxdepth 1
    names $net/*/ -mindepth 1 -maxdepth 1 \
        '(' -name address -o -name device -o -name master -o -name 'lower_*' -o -name queues ')'
    names $net/*/device/ -mindepth 1 -maxdepth 1 -name driver
    names $net/*/queues/ -mindepth 1 -maxdepth 1
    names $pci/*/ -mindepth 1 -maxdepth 1 '(' -name driver -o -name physfn -o -name iommu_group ')'
    names /sys/class/infiniband/ /sys/class/infiniband/*/ -mindepth 1 -maxdepth 1 -type l
    names $groups/*/devices/ -mindepth 1 -maxdepth 1
    names /dev/kvm /lib/firmware -maxdepth 0
    names /lib/firmware/intel/ice/ddp/ /lib/firmware/updates/intel/ice/ddp/ -mindepth 1 -maxdepth 1
    names /sys/module -mindepth 1 -maxdepth 1 '(' -name ib_uverbs -o -name mana_ib -o -name mlx4_ib -o -name mlx5_ib ')'
    names /usr/lib/*-linux-gnu/ -mindepth 1 -maxdepth 1 '(' -name 'librte_eal.so.*' -o -name dpdk ')'
    names /usr/lib/*-linux-gnu/dpdk/ -mindepth 1 -maxdepth 1 -name 'pmds-*'
    names /usr/lib/*-linux-gnu/dpdk/pmds-*/ -mindepth 1 -maxdepth 1 -name 'librte_net_*.so*'

    section texts
    texts /proc/cpuinfo /proc/meminfo /proc/cmdline /proc/1/comm /proc/net/if_inet6 \
        /proc/sys/kernel/hostname /proc/sys/kernel/arch /proc/sys/kernel/osrelease \
        /etc/os-release /usr/lib/os-release /var/lib/ouchi-host/cards.json /sys/hypervisor/type /sys/class/dmi/id/sys_vendor \
        /sys/kernel/security/lockdown /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
    some /proc/net/fib_trie -B 3 '/32 host LOCAL'
    some /proc/net/route -e '^Iface' -e '^[^[:space:]]*[[:space:]]*[0-9A-F]*[[:space:]]*00000000[[:space:]]' \
        -e '^[^[:space:]]*[[:space:]]*00000000[[:space:]]'
    some /proc/net/ipv6_route -e '^[0-9a-f]* 00 ' -e '^[0-9a-f]* .. [0-9a-f]* .. 00000000000000000000000000000000 '
    texts $cpu/isolated $cpu/online $cpu/smt/active /sys/devices/cpu_core/cpus /sys/devices/cpu_atom/cpus \
        /sys/devices/cpu_lowpower/cpus $cpu/cpu0/cpuidle/state*/name $cpu/cpu0/cpuidle/state*/latency \
        $cpu/cpu0/cpuidle/state*/disable
    texts $cpu/cpu[0-9]*/online $cpu/cpu[0-9]*/cpu_capacity $cpu/cpu[0-9]*/topology/core_id \
        $cpu/cpu[0-9]*/topology/physical_package_id $cpu/cpu[0-9]*/topology/core_cpus_list \
        $cpu/cpu[0-9]*/topology/thread_siblings_list $cpu/cpufreq/policy*/cpuinfo_max_freq \
        $cpu/cpufreq/policy*/scaling_governor
    texts $cpu/cpu[0-9]*/cache/index*/level $cpu/cpu[0-9]*/cache/index*/shared_cpu_list \
        $cpu/cpu[0-9]*/cache/index*/size
    texts $node/node*/cpulist $node/node*/meminfo $node/node*/distance \
        $node/node*/hugepages/hugepages-*/nr_hugepages $node/node*/hugepages/hugepages-*/free_hugepages \
        /sys/kernel/mm/hugepages/hugepages-*/nr_hugepages /sys/kernel/mm/hugepages/hugepages-*/free_hugepages
    texts $net/*/address $net/*/operstate $net/*/flags $net/*/device/uevent $net/*/device/numa_node \
        $net/*/device/../uevent $net/*/device/../numa_node
    texts $pci/*/class $pci/*/vendor $pci/*/device $pci/*/subsystem_vendor $pci/*/subsystem_device $pci/*/numa_node \
        $pci/*/sriov_totalvfs $pci/*/sriov_numvfs
    # One group shows whether there is an IOMMU for all.
    texts $groups/*/name $groups/*/reserved_regions
    for irq in 0 1 4 8 9; do texts "/sys/kernel/irq/$irq/chip_name"; done
    texts /sys/class/infiniband/*/parent
    texts /sys/module/vfio/parameters/enable_unsafe_noiommu_mode \
        /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
    # Only for NICs: reading these asks the driver or the link, which may take a while.
    for nic in $net/*/device; do paths "${nic%/device}/speed"; done | lines
    grep -sl '^0x02' $pci/*/class | while IFS= read -r class; do
        nic=${class%/class}
        paths "$nic/current_link_speed" "$nic/current_link_width" "$nic/max_link_speed" "$nic/max_link_width"
    done | lines

    section drivers
    set -- /usr/lib/*-linux-gnu/dpdk/pmds-*
    # Without plug-ins the drivers may be linked into ovs-vswitchd.
    if [ -d "$1" ]; then
        find "$@" -maxdepth 1 -type f -name 'librte_net_*.so*' -print0
    else
        printf '%s\0' /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk /usr/sbin/ovs-vswitchd
    fi | xargs -0 -r grep -sazoZH 'PMD_INFO_STRING=.*'

    section ethtool
    if command -v ethtool >/dev/null; then
        for nic in $net/*/device; do
            [ -e "$nic" ] || continue
            name=${nic%/device} name=${name##*/}
            printf '%s\0' "$name"
            ethtool -i "$name"
            printf '\0'
            ethtool -l "$name"
            printf '\0'
        done
    fi

    section rdma
    if [ -d /sys/class/infiniband ] && [ -n "$(ls /sys/class/infiniband)" ]; then rdma resource show qp; fi

    section ovs
    ovs-vsctl --version
    section end
}
# Bounded; output that is cut off has no end section, and is refused.
everything 2>/dev/null </dev/null | head -c 67108864
