# Hugepages.
section meminfo; grep -E '^(Hugepagesize|HugePages_Total):' /proc/meminfo
section hugepages; cd /sys/devices/system/node
printf '%s\n' node[0-9]*/hugepages/hugepages-*/nr_hugepages node[0-9]*/hugepages/hugepages-*/free_hugepages | values
section mounts; grep ' hugetlbfs ' /proc/mounts
