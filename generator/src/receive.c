/* The receive path: identify each frame by its signature; count loss, duplicates, reordering and latency. */
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "receive.h"
#include "stream.h"
#include "trial.h"

enum { BURST = 64, PREFETCH_AHEAD = 16 };

static bool is_seen(struct stream *stream, uint64_t sequence)
{
    return stream->rx.window[sequence % WINDOW / 64] >> (sequence % 64) & 1;
}

static void mark_seen(struct stream *stream, uint64_t sequence)
{
    stream->rx.window[sequence % WINDOW / 64] |= 1ULL << (sequence % 64);
}

/* Record skipped sequence numbers as a gap; frames that arrive late shrink it. */
static void record_gap(struct stream *stream, uint64_t count, uint64_t now)
{
    uint64_t first = stream->rx.next, clear = count < WINDOW ? count : WINDOW;
    for (uint64_t i = 0; i < clear;) {
        uint64_t sequence = first + count - clear + i;
        if (sequence % 64 == 0 && clear - i >= 64) {
            stream->rx.window[sequence % WINDOW / 64] = 0;
            i += 64;
        } else {
            stream->rx.window[sequence % WINDOW / 64] &= ~(1ULL << (sequence % 64));
            i++;
        }
    }
    if (stream->rx.gaps < MAX_GAPS)
        stream->rx.gap[stream->rx.gaps] =
            (struct gap){.seconds = (double)(now - trial.start_tsc) / trial.hz, .first = first, .count = count};
    else
        stream->rx.gap_frames_dropped += count;
    stream->rx.gaps++;
}

/* A sequence number that is not the next one: a gap before it, or a late or duplicate frame. */
static void record_out_of_order(struct stream *stream, uint64_t sequence, unsigned queue, uint64_t now)
{
    if (sequence > stream->rx.next) {
        record_gap(stream, sequence - stream->rx.next, now);
        stream->rx.next = sequence;
        return;
    }
    bool old = stream->rx.next - sequence > WINDOW; /* outside the window: counted as late, not as a duplicate */
    if (!old && is_seen(stream, sequence)) {
        stream->rx.duplicated++;
        return;
    }
    if (sequence < stream->rx.queue_next[queue])
        stream->rx.reordered++;
    if (old)
        return;
    mark_seen(stream, sequence);
    /* Shrink the gap that it fills, most likely one of the latest. */
    for (uint64_t i = RTE_MIN(stream->rx.gaps, (uint64_t)MAX_GAPS), looked = 0; i-- > 0 && looked < 64; looked++) {
        struct gap *gap = &stream->rx.gap[i];
        if (sequence >= gap->first && gap->count > 0) {
            gap->count--;
            return;
        }
    }
}

static void record_frame(struct stream *stream, const struct signature *found, uint32_t length, unsigned queue, uint64_t now)
{
    uint32_t number = rte_be_to_cpu_32(found->sequence);
    uint64_t sequence = stream->rx.next + (uint64_t)(int64_t)(int32_t)(number - (uint32_t)stream->rx.next);
    if (unlikely(sequence != stream->rx.next))
        record_out_of_order(stream, sequence, queue, now);
    if (likely(sequence == stream->rx.next)) {
        /* The bit of sequence - WINDOW is the same bit: setting it replaces the old value. */
        mark_seen(stream, sequence);
        stream->rx.next = sequence + 1;
    }
    stream->rx.queue_next[queue] = RTE_MAX(stream->rx.queue_next[queue], sequence + 1);
    stream->rx.received++;
    stream->rx.bytes += length;
    uint32_t delay = (uint32_t)(now >> SIGNATURE_TIME_SHIFT) - rte_be_to_cpu_32(found->time);
    histogram_add(&stream->rx.latency, delay);
    stream->rx.variation += delay > stream->rx.last_delay ? delay - stream->rx.last_delay : stream->rx.last_delay - delay;
    if (unlikely(stream->rx.first_tsc == 0)) {
        stream->rx.first_tsc = now;
        stream->rx.variation = 0; /* the first frame has no predecessor */
    }
    stream->rx.last_delay = delay;
    stream->rx.last_tsc = now;
}

/* The signature ends the frame, or lies 4 bytes before its end: NICs pad frames after stripping a VLAN tag. */
static const struct signature *find_signature(struct rte_mbuf *buffer, struct signature *copy)
{
    uint32_t length = buffer->pkt_len;
    for (unsigned padding = 0; padding <= 4; padding += 4) {
        if (length < SIGNATURE_SIZE + padding)
            return NULL;
        const struct signature *found = rte_pktmbuf_read(buffer, length - SIGNATURE_SIZE - padding, SIGNATURE_SIZE, copy);
        if (likely(found != NULL && signature_is_marked(found->mark, trial.number)))
            return found;
    }
    return NULL;
}

/* Prefetch the signature, the only bytes that are read. */
static void prefetch_signature(const struct rte_mbuf *buffer)
{
    rte_prefetch0(rte_pktmbuf_mtod_offset(buffer, const void *, buffer->data_len - SIGNATURE_SIZE));
}

bool receive(struct port *port)
{
    bool any = false;
    for (unsigned queue = 0; queue < port->config.rx_queues; queue++) {
        struct rte_mbuf *buffers[BURST];
        unsigned count = rte_eth_rx_burst(port->id, (uint16_t)queue, buffers, BURST);
        if (count == 0)
            continue;
        any = true;
        uint64_t now = rte_rdtsc();
        for (unsigned i = 0; i < count; i++)
            rte_prefetch0(buffers[i]);
        for (unsigned i = 0; i < RTE_MIN(count, (unsigned)PREFETCH_AHEAD); i++)
            prefetch_signature(buffers[i]);
        for (unsigned i = 0; i < count; i++) {
            if (i + PREFETCH_AHEAD < count)
                prefetch_signature(buffers[i + PREFETCH_AHEAD]);
            struct signature copy;
            const struct signature *found = find_signature(buffers[i], &copy);
            struct stream *stream = found ? streams[rte_be_to_cpu_16(found->mark) & 0xFF] : NULL;
            if (unlikely(stream == NULL))
                trial.unmatched[port - ports].foreign++;
            else if (unlikely(stream->to != port))
                trial.unmatched[port - ports].wrong_port++;
            else if (unlikely(!signature_is_whole(found)))
                stream->rx.corrupt++;
            else
                record_frame(stream, found, buffers[i]->pkt_len, queue, now);
        }
        rte_pktmbuf_free_bulk(buffers, count);
    }
    return any;
}
