/* Ethernet devices of any DPDK driver, opened and closed while the program runs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>

#include "problem.h"

enum { PORTS_MOST = 16, PORT_NAME = 32, QUEUES_MOST = 16 };

struct port_wish {
    char name[PORT_NAME];
    char device[512]; /* a PCI address, or a virtual device with its arguments */
    unsigned rx_queues, tx_queues;
    unsigned rx_ring, tx_ring; /* descriptors */
    unsigned mtu;              /* bytes of an Ethernet payload */
    unsigned worker;
    unsigned patience; /* seconds to wait for the other end of a device that is a server */
};

struct port {
    bool used, started;
    struct port_wish wish;
    uint16_t id; /* DPDK's */
    struct rte_mempool *pool;
    struct rte_eth_dev_info info;
    struct rte_eth_stats before; /* what it had counted when the trial began */
};

extern struct port ports[PORTS_MOST];

struct port *port_named(const char *name);
struct port *port_open(const struct port_wish *wish, struct problem *problem);
void port_close(struct port *port);
void ports_close(void);
