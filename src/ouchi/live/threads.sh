# Every thread's affinity.
section threads; cd /proc
printf '%s\n' [0-9]*/task/[0-9]*/status |
    xargs -r grep -sHE '^(Name|State|PPid|VmSize|Cpus_allowed_list):'
