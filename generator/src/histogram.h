/* A histogram of 32-bit values whose buckets are 1/128 of their values wide (0.8 %), exact below 256.
 *
 * The layout is HdrHistogram's; Debian 12 has no library of it, and recording is one increment. */
#pragma once

#include <stdint.h>
#include <string.h>

enum { HISTOGRAM_EXACT = 256, HISTOGRAM_HALF = 128, HISTOGRAM_BUCKETS = HISTOGRAM_EXACT + 24 * HISTOGRAM_HALF };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
};

static inline void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

static inline void histogram_add(struct histogram *histogram, uint32_t value)
{
    if (value < HISTOGRAM_EXACT) {
        histogram->counts[value]++;
        return;
    }
    unsigned shift = 24 - (unsigned)__builtin_clz(value); /* 1 for 256..511 */
    histogram->counts[HISTOGRAM_HALF * shift + (value >> shift)]++;
}

/* The smallest value of a bucket. */
static inline uint64_t histogram_edge(unsigned bucket)
{
    if (bucket < HISTOGRAM_EXACT)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_HALF - 1;
    return (uint64_t)(bucket - HISTOGRAM_HALF * shift) << shift;
}
