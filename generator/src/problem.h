/* Why a request failed: the member of the request, and the reason. */
#pragma once

#include <stdbool.h>

struct problem {
    char where[64];
    char text[1400]; /* a device and DPDK's log about it */
};

/* Record the first problem only; always returns false. */
__attribute__((format(printf, 3, 4))) bool problem_set(struct problem *problem, const char *where, const char *format, ...);
