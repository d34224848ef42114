/* DPDK's log: copied to stderr, and the last lines kept for error messages, since its errnos say little. */
#pragma once

#include <stdbool.h>

bool log_capture(void);

/* The log since the last call, on one line; never empty. */
const char *log_recent(void);
