# The kernel, and its CPUs.
section user; id -u
section grub; grep -hE '^[[:space:]]*linux' /boot/grub/grub.cfg
section kernel; cat /proc/version_signature || cat /proc/version
section cpu; cd /sys/devices/system/cpu
printf '%s\n' isolated nohz_full smt/control cpufreq/boost intel_pstate/no_turbo cpu[0-9]*/cpufreq/scaling_governor \
    cpu[0-9]*/cpufreq/scaling_max_freq cpu[0-9]*/cpufreq/cpuinfo_max_freq \
    cpu[0-9]*/cpuidle/state*/name cpu[0-9]*/cpuidle/state*/latency cpu[0-9]*/cpuidle/state*/disable \
    cpu[0-9]*/power/pm_qos_resume_latency_us | values
section settings
printf '%s\n' /sys/devices/virtual/workqueue/cpumask /proc/sys/kernel/nmi_watchdog /proc/sys/kernel/soft_watchdog \
    /proc/sys/kernel/watchdog_cpumask /sys/devices/system/clocksource/clocksource0/current_clocksource \
    /proc/sys/kernel/numa_balancing /proc/sys/kernel/sched_rt_runtime_us | values
section latency; od -An -td4 -N4 /dev/cpu_dma_latency
