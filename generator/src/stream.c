#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

struct stream *streams[MAX_STREAMS];

/* Mempools are never freed, since ports may still hold their mbufs; released ones are reused by later streams. */
struct pool_slot {
    struct rte_mempool *pool;
    unsigned room;
    bool taken;
};

enum { MAX_POOLS = MAX_STREAMS * 4, BUFFERS = 8191, BUFFERS_JUMBO = 4095, CACHE = 512, JUMBO = 2048 };

static struct pool_slot pool_slots[MAX_POOLS];
static uint32_t templates; /* template numbers in use */

static struct rte_mempool *pool_take(unsigned room, struct problem *problem)
{
    static unsigned made;
    struct pool_slot *free_slot = NULL;
    for (unsigned i = 0; i < MAX_POOLS; i++) {
        if (pool_slots[i].pool != NULL && !pool_slots[i].taken && pool_slots[i].room >= room) {
            pool_slots[i].taken = true;
            return pool_slots[i].pool;
        }
        if (pool_slots[i].pool == NULL && free_slot == NULL)
            free_slot = &pool_slots[i];
    }
    if (free_slot == NULL) {
        problem_set(problem, "streams", "too many mempools in use; restart the generator");
        return NULL;
    }
    char name[32];
    snprintf(name, sizeof name, "stream-%u", made++);
    unsigned buffers = room > JUMBO ? BUFFERS_JUMBO : BUFFERS;
    free_slot->pool = rte_pktmbuf_pool_create(name, buffers, CACHE, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + room), SOCKET_ID_ANY);
    if (free_slot->pool == NULL) {
        problem_set(problem, "streams", "no memory for %u buffers of %u bytes (%s): are there free hugepages?", buffers, room,
                    rte_strerror(rte_errno));
        return NULL;
    }
    free_slot->room = room;
    free_slot->taken = true;
    return free_slot->pool;
}

static void pool_release(const struct rte_mempool *pool)
{
    for (unsigned i = 0; i < MAX_POOLS; i++)
        if (pool != NULL && pool_slots[i].pool == pool)
            pool_slots[i].taken = false;
}

static bool field_check(const struct stream *stream, unsigned index, struct problem *problem)
{
    const struct field *field = &stream->fields[index];
    for (unsigned i = 0; i < stream->frames_count; i++) {
        unsigned room = stream->frames[i].length - (unsigned)SIGNATURE_SIZE;
        if (field->offset + field->width > room)
            return problem_set(problem, "fields", "field %u ends beyond byte %u, where the signature of frame %u begins", index, room, i);
        for (unsigned c = 0; c < field->checksums; c++) {
            unsigned at = field->checksum_at[c];
            if (at + 2 > room || at % 2 != 0)
                return problem_set(problem, "fields", "field %u: invalid checksum offset %u", index, at);
            if (at < (unsigned)field->offset + field->width && field->offset < at + 2)
                return problem_set(problem, "fields", "field %u overlaps its own checksum at byte %u", index, at);
        }
    }
    return true;
}

bool stream_check(struct stream *stream, struct problem *problem)
{
    if (stream->frames_count == 0)
        return problem_set(problem, "frames", "a stream needs at least one frame");
    for (unsigned i = 0; i < stream->order_count; i++)
        if (stream->order[i] >= stream->frames_count)
            return problem_set(problem, "order", "no such frame: %u", stream->order[i]);
    if (stream->fields_count > 0 && stream->frames_count > 1)
        for (unsigned i = 1; i < stream->frames_count; i++)
            for (unsigned f = 0; f < stream->fields_count; f++)
                for (unsigned c = 0; c < stream->fields[f].checksums; c++)
                    if (stream->frames[i].length <= stream->fields[f].checksum_at[c])
                        return problem_set(problem, "fields", "field %u: frame %u is too short for its checksum", f, i);
    for (unsigned i = 0; i < stream->fields_count; i++)
        if (!field_check(stream, i, problem))
            return false;
    return true;
}

/* Subtract a field's initial value from the checksums that cover it (RFC 1624, equation 3). */
static void field_subtract(const struct field *field, struct frame *frame)
{
    uint32_t sum = 0;
    for (unsigned byte = 0; byte < field->width; byte++) {
        uint8_t bits = frame->data[field->offset + byte];
        sum += (field->offset + byte) & 1 ? bits : (uint32_t)bits << 8;
    }
    for (unsigned c = 0; c < field->checksums; c++) {
        uint8_t *at = frame->data + field->checksum_at[c];
        uint16_t rest = signature_fold((uint16_t)~(at[0] << 8 | at[1]) + (uint32_t)(uint16_t)~signature_fold(sum));
        uint16_t checksum = (uint16_t)~rest;
        at[0] = (uint8_t)(checksum >> 8);
        at[1] = (uint8_t)checksum;
    }
}

bool stream_ready(struct stream *stream, struct problem *problem)
{
    if (stream->pool != NULL)
        return true;
    if (!stream_check(stream, problem))
        return false;
    for (unsigned i = 0; i < stream->frames_count; i++) {
        struct frame *frame = &stream->frames[i];
        stream->longest = RTE_MAX(stream->longest, frame->length);
        if (stream->from->config.mtu + 22u < frame->length) /* Ethernet header and two VLAN tags */
            return problem_set(problem, "frames", "frame %u has %u bytes, the MTU of port %s is %u bytes", i, frame->length,
                               stream->from->config.name, stream->from->config.mtu);
        for (unsigned f = 0; f < stream->fields_count; f++)
            field_subtract(&stream->fields[f], frame);
        frame->template = ++templates;
    }
    unsigned room = stream->longest <= 256 ? 256 : stream->longest <= 2048 ? 2048 : MAX_FRAME;
    stream->pool = pool_take(room, problem);
    return stream->pool != NULL;
}

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    pool_release(stream->pool);
    for (unsigned i = 0; i < stream->frames_count; i++)
        free(stream->frames[i].data);
    for (unsigned i = 0; i < stream->fields_count; i++)
        free(stream->fields[i].values);
    free(stream->frames);
    free(stream->order);
    free(stream);
}

void streams_clear(void)
{
    for (unsigned i = 0; i < MAX_STREAMS; i++) {
        stream_free(streams[i]);
        streams[i] = NULL;
    }
}
