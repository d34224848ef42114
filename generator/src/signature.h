/* The signature in the last twelve bytes of each frame: stream, sequence number and time of transmission.
 *
 * It ends the frame, so that added or removed tags and tunnel headers do not move it. The ones'
 * complement sum of its words is zero, so that checksums made over twelve zero bytes stay right, and so that a
 * signature that was damaged is noticed. Big endian. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

enum { SIGNATURE_SIZE = 12, MAX_STREAMS = 256, SIGNATURE_TIME_SHIFT = 4 };

struct signature {
    uint16_t mark;       /* 0xC, the low four bits of the trial's number, the stream's number */
    uint16_t complement; /* makes the sum zero */
    uint32_t sequence;   /* the low half of a 64-bit number */
    uint32_t time;       /* TSC cycles, divided by sixteen */
} __attribute__((packed)); /* at any address: frames of a capture may have odd lengths */

static inline uint16_t signature_mark(unsigned stream, unsigned number)
{
    return rte_cpu_to_be_16((uint16_t)(0xC000u | (number & 15) << 8 | stream));
}

static inline bool signature_is_marked(uint16_t mark, unsigned number)
{
    return (rte_be_to_cpu_16(mark) & 0xFF00u) == (0xC000u | (number & 15) << 8);
}

/* The ones' complement sum does not mind the byte order (RFC 1071, section 2B). */
static inline uint16_t signature_fold(uint32_t sum)
{
    sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)((sum & 0xFFFF) + (sum >> 16));
}

static inline void signature_write(uint8_t *at, uint16_t mark, uint32_t sequence, uint32_t time)
{
    struct signature made = {.mark = mark, .sequence = rte_cpu_to_be_32(sequence), .time = rte_cpu_to_be_32(time)};
    uint32_t sum = made.mark + (made.sequence & 0xFFFF) + (made.sequence >> 16) + (made.time & 0xFFFF) + (made.time >> 16);
    made.complement = (uint16_t)~signature_fold(sum);
    memcpy(at, &made, sizeof made);
}

static inline bool signature_is_whole(const struct signature *found)
{
    uint32_t sum = found->mark + (uint32_t)found->complement + (found->sequence & 0xFFFF) + (found->sequence >> 16) +
                   (found->time & 0xFFFF) + (found->time >> 16);
    return signature_fold(sum) == 0xFFFF;
}
