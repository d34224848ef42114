#pragma once

#include <stdbool.h>

/* Once, after DPDK's start. */
bool transmit_prepare(void);
