/* The lcores that send and receive; parked between trials. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_lcore.h>

#include "histogram.h"
#include "port.h"
#include "stream.h"

enum { MAX_WORKERS = 32, MAX_STALLS = 256 };

struct worker {
    unsigned lcore;
    struct stream *sends[MAX_STREAMS];
    struct port *polls[MAX_PORTS];
    unsigned sends_count, polls_count;
    bool run, running; /* requested and actual state */
    bool all_sent;
    uint64_t loops, stalls, longest; /* longest: cycles */
    struct { double seconds, length; } stall[MAX_STALLS];
    struct histogram loop_gaps; /* times between two iterations, in units of 2^SIGNATURE_TIME_SHIFT cycles */
} __attribute__((aligned(64)));

extern struct worker workers[MAX_WORKERS];
extern unsigned workers_count;

bool workers_launch(void);
void workers_assign(void);
void workers_run(void);
void workers_park(void); /* returns when all are parked */
void workers_join(void);
