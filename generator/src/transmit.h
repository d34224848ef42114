#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "stream.h"

/* Register the mbuf field that the transmit path needs; call once after rte_eal_init(). */
bool transmit_prepare(void);

/* Send one burst if it is due; true when anything was sent. */
bool transmit(struct stream *stream, uint64_t now);
