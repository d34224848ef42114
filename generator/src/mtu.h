/* How long the frames of a port may be. */
#pragma once

#include "port.h"

/* Zero, or DPDK's negative error. */
int mtu_set(const struct port *port);
