/* Streams: frames that one port sends at one rate, and what was seen of them where they arrive. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "port.h"
#include "problem.h"
#include "signature.h"

enum {
    FIELDS_MOST = 8,
    CHECKSUMS_MOST = 4,
    BURST_MOST = 512,
    FRAME_MOST = 9728, /* bytes, without FCS */
    FRAMES_MOST = 20000,
    GAPS_MOST = 4096,
    WINDOW = 65536, /* sequence numbers that a late frame is told from a second one by; a power of two */
};

struct frame {
    uint8_t *data;
    uint32_t template; /* what a buffer is marked with that holds these bytes */
    uint16_t length;
};

enum field_kind { FIELD_INCREMENT, FIELD_RANDOM, FIELD_LIST };

/* A number in the frame that changes from one frame to the next. */
struct field {
    enum field_kind kind;
    uint16_t offset;
    uint8_t width; /* bytes, big endian */
    uint8_t checksums;
    uint16_t checksum_at[CHECKSUMS_MOST]; /* the checksums that cover it */
    uint64_t first, step, count, every;
    uint64_t *values; /* of a list */
    uint64_t at, left; /* where it stands, and how many frames more */
};

/* A run of frames that did not come. */
struct gap {
    double seconds; /* since the trial's start, when the next one came */
    uint64_t first, count;
};

struct stream {
    bool used;
    unsigned id;
    struct port *from, *to; /* to may be NULL: only sent */
    unsigned queue, burst, worker;
    double pps; /* 0: as fast as the port takes them */
    double slack;   /* seconds; what was missed for so long is made up for at once */
    double make_up; /* what was missed for longer is, by sending so much faster (a share of the rate) */
    struct frame *frames;
    unsigned frames_count;
    uint32_t *order;
    unsigned order_count;
    struct field fields[FIELDS_MOST];
    unsigned fields_count;
    struct rte_mempool *pool;
    uint16_t longest;

    /* What sending it has come to; written by one worker. */
    struct {
        uint16_t mark;
        bool done, stuck; /* stuck: the last burst was not taken whole */
        unsigned order_at;
        uint64_t sequence;
        uint64_t scheduled;                  /* frames whose time has come, sent or not */
        uint64_t intended;                   /* of the whole trial */
        uint64_t accepted;                   /* by the port */
        uint64_t late, choked;               /* never sent: the worker was away; the port took no more */
        uint64_t refused, no_buffers;        /* bursts */
        uint64_t first_tsc, last_tsc;
        double credit, credit_at; /* frames that may be sent now; cycles since the start */
        uint64_t random;
        struct histogram lateness; /* of each burst, in units of 2^SIGNATURE_TIME_SHIFT cycles */
    } sent __attribute__((aligned(64)));

    /* What has been received of it; written by one worker, another one perhaps. */
    struct {
        uint64_t next; /* the sequence number that would follow the highest one seen */
        uint64_t queue_next[QUEUES_MOST]; /* the same of each queue: one does not wait for another */
        uint64_t received, duplicated, reordered, corrupt, bytes;
        uint64_t variation; /* the sum of differences between the delays of neighbours, in units of time */
        uint64_t gaps, gap_frames_dropped;
        uint64_t first_tsc, last_tsc;
        uint32_t last_delay;
        struct histogram latency;
        struct gap gap[GAPS_MOST];
        uint64_t window[WINDOW / 64];
    } got __attribute__((aligned(64)));
};

extern struct stream *streams[STREAMS_MOST];

/* Takes over the stream's memory: freed with it. */
bool stream_check(struct stream *stream, struct problem *problem);
bool stream_ready(struct stream *stream, struct problem *problem);
void stream_free(struct stream *stream);
void streams_clear(void);

/* One burst if it is due; true when something was sent. */
bool transmit(struct stream *stream, uint64_t now);

/* One burst from each queue of a port. */
bool receive(struct port *port);
unsigned receive_and_forget(struct port *port);
