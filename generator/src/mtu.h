/* The MTU of a port. */
#pragma once

#include "port.h"

/* Returns 0 or a negative errno of DPDK. */
int mtu_set(const struct port *port);
