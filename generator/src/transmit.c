/* Sending: when a burst is due, and what stands in it. The hot path. */
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "stream.h"
#include "trial.h"
#include "transmit.h"

enum { AT_ONCE = 32 /* frames that may always be made up for: no ring is too small for them */ };

#define STRETCH 0.005 /* of a trial's time: how much longer it may last to send what is still owed */

static int template_offset = -1; /* where in a buffer the template's number is noted */

bool transmit_prepare(void)
{
    static const struct rte_mbuf_dynfield wanted = {
        .name = "ouchi_template", .size = sizeof(uint32_t), .align = __alignof__(uint32_t)};
    template_offset = rte_mbuf_dynfield_register(&wanted);
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

/* Writes the changing fields and adds them to the checksums that cover them; the template's hold all but them. */
static void vary(struct stream *stream, const struct frame *frame, uint8_t *data)
{
    for (unsigned i = 0; i < stream->fields_count; i++) {
        const struct field *field = &stream->fields[i];
        for (unsigned c = 0; c < field->checksums; c++)
            memcpy(data + field->checksum_at[c], frame->data + field->checksum_at[c], 2);
    }
    for (unsigned i = 0; i < stream->fields_count; i++) {
        struct field *field = &stream->fields[i];
        uint64_t value = field_value(field, &stream->sent.random);
        uint32_t sum = 0;
        for (unsigned byte = field->width; byte-- > 0; value >>= 8) {
            uint8_t bits = (uint8_t)value;
            data[field->offset + byte] = bits;
            sum += (field->offset + byte) & 1 ? bits : (uint32_t)bits << 8;
        }
        for (unsigned c = 0; c < field->checksums; c++) {
            uint8_t *at = data + field->checksum_at[c];
            uint16_t checksum = (uint16_t)~signature_fold((uint16_t)~(at[0] << 8 | at[1]) + sum);
            if (checksum == 0) /* for UDP it would mean that there is none; to all others both are zero */
                checksum = 0xFFFF;
            at[0] = (uint8_t)(checksum >> 8);
            at[1] = (uint8_t)checksum;
        }
    }
}

static void build(struct stream *stream, struct rte_mbuf **buffers, unsigned count, uint32_t time)
{
    uint64_t sequence = stream->sent.sequence;
    for (unsigned i = 0; i < count; i++) {
        struct rte_mbuf *buffer = buffers[i];
        const struct frame *frame = stream->frames;
        if (stream->order_count > 1) {
            frame = &stream->frames[stream->order[stream->sent.order_at]];
            if (++stream->sent.order_at == stream->order_count)
                stream->sent.order_at = 0;
        }
        buffer->data_off = RTE_PKTMBUF_HEADROOM;
        buffer->nb_segs = 1;
        buffer->ol_flags = 0;
        buffer->pkt_len = frame->length;
        buffer->data_len = frame->length;
        uint8_t *data = (uint8_t *)buffer->buf_addr + RTE_PKTMBUF_HEADROOM;
        /* Buffers come back as they were sent: most hold this very frame already. */
        uint32_t *template = RTE_MBUF_DYNFIELD(buffer, template_offset, uint32_t *);
        if (*template != frame->template) {
            memcpy(data, frame->data, frame->length);
            *template = frame->template;
        }
        if (stream->fields_count)
            vary(stream, frame, data);
        signature_write(data + frame->length - SIGNATURE_SIZE, stream->sent.mark, (uint32_t)sequence++, time);
    }
}

static void give_up(struct stream *stream, uint64_t count)
{
    stream->sent.scheduled += count;
    if (stream->sent.stuck)
        stream->sent.choked += count;
    else
        stream->sent.late += count;
}

static bool time_is_up(uint64_t now, double slack)
{
    return trial.wish.seconds > 0 && (double)(now - trial.start_tsc) > (trial.wish.seconds + slack) * trial.hz;
}

/* How many frames are to be sent now; 0 while the next burst is not due. */
static unsigned owed(struct stream *stream, uint64_t now, uint64_t *late)
{
    *late = 0;
    if (stream->sent.scheduled >= stream->sent.intended)
        return 0;
    uint64_t rest = stream->sent.intended - stream->sent.scheduled;
    if (stream->pps == 0) {
        if (time_is_up(now, 0)) {
            stream->sent.intended = stream->sent.scheduled;
            return 0;
        }
        return rest < stream->burst ? (unsigned)rest : stream->burst;
    }
    double cycles = (double)(now - trial.start_tsc);
    double owes = trial_due(stream->pps, cycles) - (double)stream->sent.scheduled;
    /* After an absence the rest is sent a little faster, not at once: a burst that nobody asked for would be lost. */
    double since = cycles - stream->sent.credit_at;
    stream->sent.credit_at = cycles;
    stream->sent.credit += since / trial.hz * stream->pps * (1 + stream->make_up);
    double most = RTE_MAX(stream->pps * stream->slack, (double)AT_ONCE) + stream->burst;
    stream->sent.credit = RTE_MIN(stream->sent.credit, most);
    unsigned want = rest < stream->burst ? (unsigned)rest : stream->burst;
    if (owes < want || stream->sent.credit < want)
        return 0;
    *late = (uint64_t)((owes - want) / stream->pps * trial.hz);
    return want;
}

static void finish(struct stream *stream, uint64_t now)
{
    /* Over when all have been sent, or when the time is: the last ones may be owed for ever by a port that is stuck. */
    bool late = time_is_up(now, stream->slack + STRETCH * trial.wish.seconds);
    if (stream->sent.scheduled >= stream->sent.intended || late || trial.stopping) {
        if (stream->sent.scheduled < stream->sent.intended && late && stream->pps > 0) {
            give_up(stream, stream->sent.intended - stream->sent.scheduled);
        }
        stream->sent.done = true;
    }
}

bool transmit(struct stream *stream, uint64_t now)
{
    uint64_t late;
    unsigned count = owed(stream, now, &late);
    if (count == 0) {
        finish(stream, now);
        return false;
    }
    struct rte_mbuf *buffers[BURST_MOST];
    if (unlikely(rte_mempool_get_bulk(stream->pool, (void **)buffers, count) != 0)) {
        stream->sent.no_buffers++;
        finish(stream, now);
        return false;
    }
    build(stream, buffers, count, (uint32_t)(now >> SIGNATURE_TIME_SHIFT));
    unsigned taken = rte_eth_tx_burst(stream->from->id, (uint16_t)stream->queue, buffers, (uint16_t)count);
    stream->sent.stuck = taken < count;
    if (unlikely(taken < count)) { /* they keep their numbers: nothing is missing where they would have arrived */
        rte_mempool_put_bulk(stream->pool, (void **)(buffers + taken), count - taken);
        stream->sent.refused++;
    }
    if (unlikely(stream->sent.first_tsc == 0))
        stream->sent.first_tsc = now;
    stream->sent.last_tsc = now;
    stream->sent.accepted += taken;
    stream->sent.sequence += taken;
    stream->sent.scheduled += taken;
    stream->sent.credit -= taken;
    if (stream->pps > 0)
        histogram_add(&stream->sent.lateness, (uint32_t)RTE_MIN(late >> SIGNATURE_TIME_SHIFT, UINT32_MAX));
    if (unlikely(taken < count || stream->sent.scheduled >= stream->sent.intended || trial.stopping))
        finish(stream, now);
    return true;
}
