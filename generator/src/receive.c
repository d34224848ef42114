/* Receiving: whose a frame is, whether it was expected, and how long it took. The hot path. */
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "stream.h"
#include "trial.h"

enum { BURST = 64, AHEAD = 16 };

static bool seen(struct stream *stream, uint64_t sequence)
{
    return stream->got.window[sequence % WINDOW / 64] >> (sequence % 64) & 1;
}

static void see(struct stream *stream, uint64_t sequence)
{
    stream->got.window[sequence % WINDOW / 64] |= 1ULL << (sequence % 64);
}

/* Numbers that were jumped over: they are missing until they come late. */
static void miss(struct stream *stream, uint64_t count, uint64_t now)
{
    uint64_t first = stream->got.next, clear = count < WINDOW ? count : WINDOW;
    for (uint64_t i = 0; i < clear;) {
        uint64_t sequence = first + count - clear + i;
        if (sequence % 64 == 0 && clear - i >= 64) {
            stream->got.window[sequence % WINDOW / 64] = 0;
            i += 64;
        } else {
            stream->got.window[sequence % WINDOW / 64] &= ~(1ULL << (sequence % 64));
            i++;
        }
    }
    if (stream->got.gaps < GAPS_MOST)
        stream->got.gap[stream->got.gaps] =
            (struct gap){.seconds = (double)(now - trial.start_tsc) / trial.hz, .first = first, .count = count};
    else
        stream->got.gap_frames_dropped += count;
    stream->got.gaps++;
}

/* A number that is not the next one: later ones are missing, or this is late or a second one. */
static void unexpected(struct stream *stream, uint64_t sequence, unsigned queue, uint64_t now)
{
    if (sequence > stream->got.next) {
        miss(stream, sequence - stream->got.next, now);
        stream->got.next = sequence;
        return;
    }
    bool old = stream->got.next - sequence > WINDOW; /* too old to tell: late, as it has its place among those sent */
    if (!old && seen(stream, sequence)) {
        stream->got.duplicated++;
        return;
    }
    if (sequence < stream->got.queue_next[queue])
        stream->got.reordered++;
    if (old)
        return;
    see(stream, sequence);
    /* It is not lost: its gap, most likely a late one, shrinks. */
    for (uint64_t i = RTE_MIN(stream->got.gaps, (uint64_t)GAPS_MOST), looked = 0; i-- > 0 && looked < 64; looked++) {
        struct gap *gap = &stream->got.gap[i];
        if (sequence >= gap->first && gap->count > 0) {
            gap->count--;
            return;
        }
    }
}

static void account(struct stream *stream, const struct signature *found, uint32_t length, unsigned queue, uint64_t now)
{
    uint32_t number = rte_be_to_cpu_32(found->sequence);
    uint64_t sequence = stream->got.next + (uint64_t)(int64_t)(int32_t)(number - (uint32_t)stream->got.next);
    if (unlikely(sequence != stream->got.next))
        unexpected(stream, sequence, queue, now);
    if (likely(sequence == stream->got.next)) {
        /* The bit of the number before a window's length is this one's: it is cleared by being set. */
        see(stream, sequence);
        stream->got.next = sequence + 1;
    }
    stream->got.queue_next[queue] = RTE_MAX(stream->got.queue_next[queue], sequence + 1);
    stream->got.received++;
    stream->got.bytes += length;
    uint32_t delay = (uint32_t)(now >> SIGNATURE_TIME_SHIFT) - rte_be_to_cpu_32(found->time);
    histogram_add(&stream->got.latency, delay);
    stream->got.variation += delay > stream->got.last_delay ? delay - stream->got.last_delay : stream->got.last_delay - delay;
    if (unlikely(stream->got.first_tsc == 0)) {
        stream->got.first_tsc = now;
        stream->got.variation = 0; /* the first one has no neighbour */
    }
    stream->got.last_delay = delay;
    stream->got.last_tsc = now;
}

/* The signature at the end of a frame, or four bytes before it: a card pads a frame whose VLAN tag was taken off. */
static const struct signature *find(struct rte_mbuf *buffer, struct signature *copy)
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

/* Brings the signature, the only bytes that are looked at, out of the cache of the core that wrote it. */
static void fetch(const struct rte_mbuf *buffer)
{
    rte_prefetch0(rte_pktmbuf_mtod_offset(buffer, const void *, buffer->data_len - SIGNATURE_SIZE));
}

bool receive(struct port *port)
{
    bool any = false;
    for (unsigned queue = 0; queue < port->wish.rx_queues; queue++) {
        struct rte_mbuf *buffers[BURST];
        unsigned count = rte_eth_rx_burst(port->id, (uint16_t)queue, buffers, BURST);
        if (count == 0)
            continue;
        any = true;
        uint64_t now = rte_rdtsc();
        for (unsigned i = 0; i < count; i++)
            rte_prefetch0(buffers[i]);
        for (unsigned i = 0; i < RTE_MIN(count, (unsigned)AHEAD); i++)
            fetch(buffers[i]);
        for (unsigned i = 0; i < count; i++) {
            if (i + AHEAD < count)
                fetch(buffers[i + AHEAD]);
            struct signature copy;
            const struct signature *found = find(buffers[i], &copy);
            struct stream *stream = found ? streams[rte_be_to_cpu_16(found->mark) & 0xFF] : NULL;
            if (unlikely(stream == NULL))
                trial.odd[port - ports].foreign++;
            else if (unlikely(stream->to != port))
                trial.odd[port - ports].astray++;
            else if (unlikely(!signature_is_whole(found)))
                stream->got.corrupt++;
            else
                account(stream, found, buffers[i]->pkt_len, queue, now);
        }
        rte_pktmbuf_free_bulk(buffers, count);
    }
    return any;
}

unsigned receive_and_forget(struct port *port)
{
    unsigned all = 0;
    for (unsigned queue = 0; queue < port->wish.rx_queues; queue++) {
        struct rte_mbuf *buffers[BURST];
        unsigned count = rte_eth_rx_burst(port->id, (uint16_t)queue, buffers, BURST);
        rte_pktmbuf_free_bulk(buffers, count);
        all += count;
    }
    return all;
}
