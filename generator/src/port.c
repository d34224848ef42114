#include "port.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "knock.h"
#include "log.h"
#include "mtu.h"
#include "stream.h"
#include "vhost.h"

struct port ports[PORTS_MOST];

enum { FLUSH_MOST = 1 << 16, SETTLE = 50000 /* microseconds */ };
enum { HEADERS = 22 + 4 /* Ethernet header, two VLAN tags, FCS */, CACHE = 256, SMALLEST_ROOM = 2048 };

struct port *port_named(const char *name)
{
    for (unsigned i = 0; i < PORTS_MOST; i++)
        if (ports[i].used && strcmp(ports[i].wish.name, name) == 0)
            return &ports[i];
    return NULL;
}

static struct rte_mempool *pool_of(const struct port *port, struct problem *problem)
{
    static unsigned made;
    unsigned room = port->wish.mtu + HEADERS;
    room = room <= SMALLEST_ROOM ? SMALLEST_ROOM : FRAME_MOST;
    unsigned buffers = port->wish.rx_queues * (port->wish.rx_ring + 512) + 2048;
    char name[32];
    snprintf(name, sizeof name, "port-%u", made++);
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create(name, buffers, CACHE, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + room), SOCKET_ID_ANY);
    if (pool == NULL)
        problem_set(problem, "port", "no memory for %u buffers of %u bytes (%s): are there free hugepages?", buffers, room,
                    rte_strerror(rte_errno));
    return pool;
}

/* Drivers say -1 for whatever went wrong, which as an error number would be about permissions. */
static const char *error_text(int failed)
{
    return failed == -1 ? "no error number" : rte_strerror(-failed);
}

static bool probe(struct port *port, struct problem *problem)
{
    struct knock knock;
    knock_arm(&knock, port->wish.device, port->wish.patience);
    int failed = rte_dev_probe(port->wish.device);
    if (knock_disarm(&knock) && failed != 0)
        return problem_set(problem, "device", "nobody came to %s within %u s", knock.path, port->wish.patience);
    if (failed != 0)
        return problem_set(problem, "device", "DPDK cannot open %s: %s (%s)", port->wish.device, error_text(failed),
                           log_last_words());
    struct rte_dev_iterator iterator;
    uint16_t id;
    bool found = false;
    RTE_ETH_FOREACH_MATCHING_DEV(id, port->wish.device, &iterator)
    {
        if (!found)
            port->id = id;
        found = true;
    }
    return found || problem_set(problem, "device", "%s is no Ethernet device", port->wish.device);
}

static bool configure(struct port *port, struct problem *problem)
{
    struct rte_eth_conf wanted = {0};
    const char *what = "asked";
    int failed = rte_eth_dev_info_get(port->id, &port->info);
    if (failed == 0 && (port->wish.rx_queues > port->info.max_rx_queues || port->wish.tx_queues > port->info.max_tx_queues))
        return problem_set(problem, "device", "it has at most %u receive and %u transmit queues", port->info.max_rx_queues,
                           port->info.max_tx_queues);
    if (port->wish.rx_queues > 1 && port->info.flow_type_rss_offloads != 0) {
        wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        wanted.rx_adv_conf.rss_conf.rss_hf = (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & port->info.flow_type_rss_offloads;
    }
    if (failed == 0) {
        what = "configured";
        failed = rte_eth_dev_configure(port->id, (uint16_t)port->wish.rx_queues, (uint16_t)port->wish.tx_queues, &wanted);
    }
    uint16_t rx_ring = (uint16_t)port->wish.rx_ring, tx_ring = (uint16_t)port->wish.tx_ring;
    if (failed == 0 && (what = "given rings", failed = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx_ring, &tx_ring)) == 0) {
        port->wish.rx_ring = rx_ring;
        port->wish.tx_ring = tx_ring;
        port->pool = pool_of(port, problem);
        if (port->pool == NULL)
            return false;
    }
    for (unsigned queue = 0; failed == 0 && queue < port->wish.rx_queues; queue++, what = "given receive queues")
        failed = rte_eth_rx_queue_setup(port->id, (uint16_t)queue, rx_ring, SOCKET_ID_ANY, NULL, port->pool);
    for (unsigned queue = 0; failed == 0 && queue < port->wish.tx_queues; queue++, what = "given transmit queues")
        failed = rte_eth_tx_queue_setup(port->id, (uint16_t)queue, tx_ring, SOCKET_ID_ANY, NULL);
    if (failed == 0) {
        what = "given that MTU";
        failed = mtu_set(port);
    }
    if (failed == 0) {
        what = "started";
        failed = rte_eth_dev_start(port->id);
    }
    if (failed != 0)
        return problem_set(problem, "device", "%s cannot be %s: %s (%s)", port->wish.device, what, error_text(failed),
                           log_last_words());
    (void)rte_eth_promiscuous_enable(port->id); /* not every virtual device has a filter to switch off */
    return true;
}

static bool possible(const char *device, struct problem *problem)
{
    /* Once connected, DPDK 22.11 finds its own memory's files closed: it gets no more of it, and may crash at the end. */
    if (strncmp(device, "net_memif", strlen("net_memif")) == 0 && strstr(device, "zero-copy=yes") != NULL)
        return problem_set(problem, "device", "memif's zero-copy cannot be used: DPDK loses its memory by it");
    return vhost_check(device, problem);
}

struct port *port_open(const struct port_wish *wish, struct problem *problem)
{
    struct port *port = NULL;
    if (port_named(wish->name) != NULL) {
        problem_set(problem, "port", "there is a port %s already", wish->name);
        return NULL;
    }
    for (unsigned i = 0; i < PORTS_MOST && port == NULL; i++)
        if (!ports[i].used)
            port = &ports[i];
    if (port == NULL) {
        problem_set(problem, "port", "there are %u ports already", PORTS_MOST);
        return NULL;
    }
    if (!possible(wish->device, problem))
        return NULL;
    memset(port, 0, sizeof *port);
    port->wish = *wish;
    (void)log_last_words();
    if (!probe(port, problem))
        return NULL;
    port->used = true;
    port->started = configure(port, problem);
    if (!port->started) {
        port_close(port);
        return NULL;
    }
    return port;
}

void port_close(struct port *port)
{
    struct rte_eth_dev_info info = port->info;
    for (unsigned flushed = 0, now = 1; port->started && now > 0 && flushed < FLUSH_MOST; flushed += now)
        now = receive_and_forget(port); /* rings hold what streams sent, and do not give it back */
    /* memif's own thread takes the port apart when the other end goes, which may be just now; both at once crash. */
    if (info.driver_name != NULL && strcmp(info.driver_name, "net_memif") == 0)
        usleep(SETTLE);
    (void)rte_eth_dev_stop(port->id);
    (void)rte_eth_dev_close(port->id);
    if (info.device != NULL)
        (void)rte_dev_remove(info.device);
    rte_mempool_free(port->pool);
    memset(port, 0, sizeof *port);
}

void ports_close(void)
{
    for (unsigned i = 0; i < PORTS_MOST; i++)
        if (ports[i].used)
            port_close(&ports[i]);
}
