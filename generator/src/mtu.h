/* The MTU of a port. */
#pragma once

#include <stdint.h>

#include <rte_ethdev.h>

/* `device` is what the port was opened from. Returns 0 or a negative errno of DPDK. */
int mtu_set(uint16_t port, unsigned mtu, const char *device, const struct rte_eth_dev_info *info);
