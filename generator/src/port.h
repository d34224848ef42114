/* Ethernet devices of any DPDK driver, opened and closed at run time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>

#include "problem.h"

enum { MAX_FRAME = 9728 /* bytes, without FCS */ };
enum { MAX_PORTS = 16, PORT_NAME = 32, MAX_QUEUES = 16 };

struct port_config {
    char name[PORT_NAME];
    char device[512]; /* a PCI address, or a virtual device with its arguments */
    unsigned rx_queues, tx_queues;
    unsigned rx_ring, tx_ring; /* descriptors */
    unsigned mtu;              /* bytes of an Ethernet payload */
    unsigned worker;
    unsigned timeout; /* seconds to wait for the client of a vhost-user server */
};

struct port {
    bool used, started;
    struct port_config config;
    uint16_t id; /* DPDK's */
    struct rte_mempool *pool;
    struct rte_eth_dev_info info;
    struct rte_eth_stats before; /* its counters at the start of the trial */
};

extern struct port ports[MAX_PORTS];

struct port *port_named(const char *name);
struct port *port_open(const struct port_config *config, struct problem *problem);
void port_close(struct port *port);
void ports_close(void);

/* Receive and free one burst from each queue; the number of frames. */
unsigned port_drain(struct port *port);
