"""Open vSwitch: the daemon, its settings, ports, PMD threads and Rx queues."""
