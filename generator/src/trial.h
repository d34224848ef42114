/* The state of a trial: its configuration, its times, and frames that match no stream. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "port.h"

struct trial_config {
    double seconds; /* of sending; 0: limited by count only */
    uint64_t count; /* frames of each stream; 0: limited by seconds only */
    double ramp;    /* seconds from 0 to the full rate, part of `seconds` */
    double drain;   /* seconds of receiving after the last frame */
    double stall;   /* seconds; a longer interruption of a worker counts as a stall */
    double idle_sleep; /* seconds to sleep when nothing is due or received, on a shared CPU; 0: busy polling */
    bool realtime; /* workers run under SCHED_FIFO */
};

struct trial {
    struct trial_config config;
    unsigned number;
    uint64_t start_tsc, stop_tsc, sent_tsc; /* stop: 0 until requested; sent: when all frames were sent */
    double hz;                              /* TSC frequency */
    bool stopping, interrupted;
    struct {
        uint64_t foreign, wrong_port; /* frames without our signature; frames at another port than the stream's */
    } unmatched[MAX_PORTS] __attribute__((aligned(64)));
};

extern struct trial trial;

/* Frames due by a time, in cycles since the start. */
double trial_due(double pps, double cycles);
