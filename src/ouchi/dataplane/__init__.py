"""OVS-DPDK: starting it, its bridges and ports, and what it says of itself."""
