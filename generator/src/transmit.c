/* The transmit path: when a burst is due, and building its frames. */
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "stream.h"
#include "trial.h"
#include "transmit.h"

enum { MIN_CREDIT = 32 /* frames that may always be sent at once to catch up: they fit into any ring */ };

#define MAX_OVERRUN 0.005 /* share of a trial's time by which it may be exceeded to send what is still due */

static int template_offset = -1; /* of the template number in the mbuf */

bool transmit_prepare(void)
{
    static const struct rte_mbuf_dynfield field = {
        .name = "ouchi_template", .size = sizeof(uint32_t), .align = __alignof__(uint32_t)};
    template_offset = rte_mbuf_dynfield_register(&field);
    return template_offset >= 0;
}

/* xorshift64*: Marsaglia, "Xorshift RNGs" (2003); Vigna, arXiv:1402.6246. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1DULL;
}

static uint64_t field_value(struct field *field, uint64_t *state)
{
    uint64_t at = field->kind == FIELD_RANDOM ? (random_next(state) >> 32) * field->count >> 32 : field->at;
    uint64_t value = field->kind == FIELD_LIST ? field->values[at] : field->first + field->step * at;
    if (--field->left == 0) {
        field->left = field->every;
        if (++field->at == field->count)
            field->at = 0;
    }
    return value;
}

/* Write the varying fields and add them to their checksums; the template's checksums exclude them. */
static void vary(struct stream *stream, const struct frame *frame, uint8_t *data)
{
    for (unsigned i = 0; i < stream->fields_count; i++) {
        const struct field *field = &stream->fields[i];
        for (unsigned c = 0; c < field->checksums; c++)
            memcpy(data + field->checksum_at[c], frame->data + field->checksum_at[c], 2);
    }
    for (unsigned i = 0; i < stream->fields_count; i++) {
        struct field *field = &stream->fields[i];
        uint64_t value = field_value(field, &stream->tx.random);
        uint32_t sum = 0;
        for (unsigned byte = field->width; byte-- > 0; value >>= 8) {
            uint8_t bits = (uint8_t)value;
            data[field->offset + byte] = bits;
            sum += (field->offset + byte) & 1 ? bits : (uint32_t)bits << 8;
        }
        for (unsigned c = 0; c < field->checksums; c++) {
            uint8_t *at = data + field->checksum_at[c];
            uint16_t checksum = (uint16_t)~signature_fold((uint16_t)~(at[0] << 8 | at[1]) + sum);
            if (checksum == 0) /* 0 means no checksum in UDP; 0xFFFF is equivalent everywhere */
                checksum = 0xFFFF;
            at[0] = (uint8_t)(checksum >> 8);
            at[1] = (uint8_t)checksum;
        }
    }
}

static void build(struct stream *stream, struct rte_mbuf **buffers, unsigned count, uint32_t time)
{
    uint64_t sequence = stream->tx.sequence;
    for (unsigned i = 0; i < count; i++) {
        struct rte_mbuf *buffer = buffers[i];
        const struct frame *frame = stream->frames;
        if (stream->order_count > 1) {
            frame = &stream->frames[stream->order[stream->tx.order_at]];
            if (++stream->tx.order_at == stream->order_count)
                stream->tx.order_at = 0;
        }
        buffer->data_off = RTE_PKTMBUF_HEADROOM;
        buffer->nb_segs = 1;
        buffer->ol_flags = 0;
        buffer->pkt_len = frame->length;
        buffer->data_len = frame->length;
        uint8_t *data = (uint8_t *)buffer->buf_addr + RTE_PKTMBUF_HEADROOM;
        /* Recycled mbufs mostly hold this template already. */
        uint32_t *template = RTE_MBUF_DYNFIELD(buffer, template_offset, uint32_t *);
        if (*template != frame->template) {
            memcpy(data, frame->data, frame->length);
            *template = frame->template;
        }
        if (stream->fields_count)
            vary(stream, frame, data);
        signature_write(data + frame->length - SIGNATURE_SIZE, stream->tx.mark, (uint32_t)sequence++, time);
    }
}

static void count_unsent(struct stream *stream, uint64_t count)
{
    stream->tx.scheduled += count;
    if (stream->tx.tx_blocked)
        stream->tx.tx_full += count;
    else
        stream->tx.late += count;
}

static bool time_is_up(uint64_t now, double slack)
{
    return trial.config.seconds > 0 && (double)(now - trial.start_tsc) > (trial.config.seconds + slack) * trial.hz;
}

/* Frames to send now; 0 while the next burst is not due. */
static unsigned credit_due(struct stream *stream, uint64_t now, uint64_t *late)
{
    *late = 0;
    if (stream->tx.scheduled >= stream->tx.intended)
        return 0;
    uint64_t rest = stream->tx.intended - stream->tx.scheduled;
    if (stream->pps == 0) {
        if (time_is_up(now, 0)) {
            stream->tx.intended = stream->tx.scheduled;
            return 0;
        }
        return rest < stream->burst ? (unsigned)rest : stream->burst;
    }
    double cycles = (double)(now - trial.start_tsc);
    double due = trial_due(stream->pps, cycles) - (double)stream->tx.scheduled;
    /* Catch up slightly faster than the rate after a stall: sending the backlog at once would overrun the path. */
    double since = cycles - stream->tx.credit_at;
    stream->tx.credit_at = cycles;
    stream->tx.credit += since / trial.hz * stream->pps * (1 + stream->catch_up);
    double max = RTE_MAX(stream->pps * stream->slack, (double)MIN_CREDIT) + stream->burst;
    stream->tx.credit = RTE_MIN(stream->tx.credit, max);
    unsigned want = rest < stream->burst ? (unsigned)rest : stream->burst;
    if (due < want || stream->tx.credit < want)
        return 0;
    *late = (uint64_t)((due - want) / stream->pps * trial.hz);
    return want;
}

static void finish(struct stream *stream, uint64_t now)
{
    /* Done when all are sent or the time is up: a blocked port may never accept the last frames. */
    bool late = time_is_up(now, stream->slack + MAX_OVERRUN * trial.config.seconds);
    if (stream->tx.scheduled >= stream->tx.intended || late || trial.stopping) {
        if (stream->tx.scheduled < stream->tx.intended && late && stream->pps > 0) {
            count_unsent(stream, stream->tx.intended - stream->tx.scheduled);
        }
        stream->tx.done = true;
    }
}

bool transmit(struct stream *stream, uint64_t now)
{
    uint64_t late;
    unsigned count = credit_due(stream, now, &late);
    if (count == 0) {
        finish(stream, now);
        return false;
    }
    struct rte_mbuf *buffers[MAX_BURST];
    if (unlikely(rte_mempool_get_bulk(stream->pool, (void **)buffers, count) != 0)) {
        stream->tx.no_mbufs++;
        finish(stream, now);
        return false;
    }
    build(stream, buffers, count, (uint32_t)(now >> SIGNATURE_TIME_SHIFT));
    unsigned taken = rte_eth_tx_burst(stream->from->id, (uint16_t)stream->queue, buffers, (uint16_t)count);
    stream->tx.tx_blocked = taken < count;
    if (unlikely(taken < count)) { /* rejected frames do not use up sequence numbers, so the receiver sees no gap */
        rte_mempool_put_bulk(stream->pool, (void **)(buffers + taken), count - taken);
        stream->tx.partial_bursts++;
    }
    if (unlikely(stream->tx.first_tsc == 0))
        stream->tx.first_tsc = now;
    stream->tx.last_tsc = now;
    stream->tx.accepted += taken;
    stream->tx.sequence += taken;
    stream->tx.scheduled += taken;
    stream->tx.credit -= taken;
    if (stream->pps > 0)
        histogram_add(&stream->tx.lateness, (uint32_t)RTE_MIN(late >> SIGNATURE_TIME_SHIFT, UINT32_MAX));
    if (unlikely(taken < count || stream->tx.scheduled >= stream->tx.intended || trial.stopping))
        finish(stream, now);
    return true;
}
