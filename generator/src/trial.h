/* One run of traffic: when it began, when it ends, and what belongs to no stream. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "port.h"
#include "problem.h"

struct trial_wish {
    double seconds; /* of sending; 0: until the count */
    uint64_t count; /* frames of each stream; 0: no limit */
    double ramp;    /* seconds from nothing to the full rate, part of `seconds` */
    double drain;   /* seconds of receiving after the last frame */
    double stall;   /* seconds; a worker that is away longer has stalled */
    double nap;     /* seconds to sleep when nothing is due or came: for a CPU that others need; 0: never */
    bool first;     /* workers that wake run at once, whoever has their CPU */
};

struct trial {
    struct trial_wish wish;
    unsigned number;
    uint64_t start_tsc, stop_tsc, sent_tsc; /* stop: 0 while nobody has asked; sent: when all had been sent */
    double hz;                              /* TSC cycles in a second */
    bool stopping, interrupted;
    struct {
        uint64_t foreign, astray; /* frames that no stream sent, or that came in at another port */
    } odd[PORTS_MOST] __attribute__((aligned(64)));
};

extern struct trial trial;

bool trial_start(const struct trial_wish *wish, struct problem *problem);
void trial_stop(void);
bool trial_is_running(void);

/* Looks after a running trial; true when it has just ended. */
bool trial_tend(void);

/* Frames that should have been sent at a time, in cycles since the start. */
double trial_due(double pps, double cycles);
