/* What is answered when a request cannot be met: where in the request, and why. */
#pragma once

#include <stdbool.h>

struct problem {
    char where[64];
    char text[1400]; /* a device and what DPDK said of it */
};

/* Notes the first problem; always false, so that it can be returned. */
__attribute__((format(printf, 3, 4))) bool problem_set(struct problem *problem, const char *where, const char *format, ...);
