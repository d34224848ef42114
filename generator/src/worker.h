/* The lcores that send and receive. They rest between trials. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_lcore.h>

#include "histogram.h"
#include "port.h"
#include "stream.h"

enum { WORKERS_MOST = 32, STALLS_MOST = 256 };

struct worker {
    unsigned lcore;
    struct stream *sends[STREAMS_MOST];
    struct port *polls[PORTS_MOST];
    unsigned sends_count, polls_count;
    bool run, runs; /* what is wanted, and what is */
    bool all_sent;
    uint64_t loops, stalls, longest; /* longest: cycles */
    struct { double seconds, length; } stall[STALLS_MOST];
    struct histogram away; /* between two looks at the clock, in units of 2^SIGNATURE_TIME_SHIFT cycles */
} __attribute__((aligned(64)));

extern struct worker workers[WORKERS_MOST];
extern unsigned workers_count;

bool workers_launch(void);
void workers_assign(void);
void workers_run(void);
void workers_rest(void); /* returns when they do */
void workers_join(void);
