/* Streams: the frames that one port sends at one rate, and the counters of both ends. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "port.h"
#include "problem.h"
#include "signature.h"

enum {
    MAX_FIELDS = 8,
    MAX_CHECKSUMS = 4,
    MAX_BURST = 512,
    MAX_FRAMES = 20000,
    MAX_GAPS = 4096,
    WINDOW = 65536, /* sequence numbers within which duplicates are recognised; a power of two */
};

struct frame {
    uint8_t *data;
    uint32_t template; /* number that marks mbufs holding these bytes */
    uint16_t length;
};

enum field_kind { FIELD_INCREMENT, FIELD_RANDOM, FIELD_LIST };

/* A field that varies from frame to frame. */
struct field {
    enum field_kind kind;
    uint16_t offset;
    uint8_t width; /* bytes, big endian */
    uint8_t checksums;
    uint16_t checksum_at[MAX_CHECKSUMS]; /* the checksums that cover it */
    uint64_t first, step, count, every;
    uint64_t *values; /* of a list */
    uint64_t at, left; /* current index, and frames until the next one */
};

/* Consecutive lost frames. */
struct gap {
    double seconds; /* since the start of the trial, when the next frame arrived */
    uint64_t first, count;
};

struct stream {
    bool used;
    unsigned id;
    struct port *from, *to; /* to may be NULL: not received */
    unsigned queue, burst, worker;
    double pps; /* 0: unpaced */
    double slack;   /* seconds of backlog that are sent at once */
    double catch_up; /* share of the rate added while a longer backlog is sent */
    struct frame *frames;
    unsigned frames_count;
    uint32_t *order;
    unsigned order_count;
    struct field fields[MAX_FIELDS];
    unsigned fields_count;
    struct rte_mempool *pool;
    uint16_t longest;

    /* Transmit state and counters; written by one worker. */
    struct {
        uint16_t mark;
        bool done, tx_blocked; /* tx_blocked: the last burst was not accepted whole */
        unsigned order_at;
        uint64_t sequence;
        uint64_t scheduled;                  /* frames due so far, sent or not */
        uint64_t intended;                   /* frames of the whole trial */
        uint64_t accepted;                   /* by the port */
        uint64_t late, tx_full;              /* frames never sent: the worker stalled; the TX ring was full */
        uint64_t partial_bursts, no_mbufs;   /* bursts not accepted whole; bursts without mbufs */
        uint64_t first_tsc, last_tsc;
        double credit, credit_at; /* frames that may be sent now; cycles since the start */
        uint64_t random;
        struct histogram lateness; /* of each burst, in units of 2^SIGNATURE_TIME_SHIFT cycles */
    } tx __attribute__((aligned(64)));

    /* Receive state and counters; written by one worker, which may be another one. */
    struct {
        uint64_t next; /* highest sequence number received + 1 */
        uint64_t queue_next[MAX_QUEUES]; /* the same by queue: order holds only within a queue */
        uint64_t received, duplicated, reordered, corrupt, bytes;
        uint64_t variation; /* sum of the latency differences of consecutive frames, in units of time */
        uint64_t gaps, gap_frames_dropped;
        uint64_t first_tsc, last_tsc;
        uint32_t last_delay;
        struct histogram latency;
        struct gap gap[MAX_GAPS];
        uint64_t window[WINDOW / 64];
    } rx __attribute__((aligned(64)));
};

extern struct stream *streams[MAX_STREAMS];

bool stream_check(struct stream *stream, struct problem *problem);
bool stream_ready(struct stream *stream, struct problem *problem);
void stream_free(struct stream *stream);
void streams_clear(void);

