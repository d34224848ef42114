#include "port.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "vhost_wake.h"
#include "log.h"
#include "mtu.h"
#include "vhost.h"

struct port ports[MAX_PORTS];

enum { MAX_FLUSH = 1 << 16, DRAIN_BURST = 64, SETTLE = 50000 /* microseconds */ };
enum { HEADERS = 22 + 4 /* Ethernet header, two VLAN tags, FCS */, CACHE = 256, SMALLEST_ROOM = 2048 };

struct port *port_named(const char *name)
{
    for (unsigned i = 0; i < MAX_PORTS; i++)
        if (ports[i].used && strcmp(ports[i].config.name, name) == 0)
            return &ports[i];
    return NULL;
}

static struct rte_mempool *pool_of(const struct port *port, struct problem *problem)
{
    static unsigned made;
    unsigned room = port->config.mtu + HEADERS;
    room = room <= SMALLEST_ROOM ? SMALLEST_ROOM : MAX_FRAME;
    unsigned buffers = port->config.rx_queues * (port->config.rx_ring + 512) + 2048;
    char name[32];
    snprintf(name, sizeof name, "port-%u", made++);
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create(name, buffers, CACHE, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + room), SOCKET_ID_ANY);
    if (pool == NULL)
        problem_set(problem, "port", "no memory for %u buffers of %u bytes (%s): are there free hugepages?", buffers, room,
                    rte_strerror(rte_errno));
    return pool;
}

/* Drivers return -1 for any failure; as an errno it would mean EPERM. */
static const char *error_text(int failed)
{
    return failed == -1 ? "no error number" : rte_strerror(-failed);
}

static bool probe(struct port *port, struct problem *problem)
{
    struct vhost_wake wake;
    vhost_wake_arm(&wake, port->config.device, port->config.timeout);
    int failed = rte_dev_probe(port->config.device);
    if (vhost_wake_disarm(&wake) && failed != 0)
        return problem_set(problem, "device", "no vhost-user client connected to %s within %u s", wake.path, port->config.timeout);
    if (failed != 0)
        return problem_set(problem, "device", "DPDK cannot open %s: %s (%s)", port->config.device, error_text(failed),
                           log_recent());
    struct rte_dev_iterator iterator;
    uint16_t id;
    bool found = false;
    RTE_ETH_FOREACH_MATCHING_DEV(id, port->config.device, &iterator)
    {
        if (!found)
            port->id = id;
        found = true;
    }
    return found || problem_set(problem, "device", "%s is not an Ethernet device", port->config.device);
}

static bool configure(struct port *port, struct problem *problem)
{
    struct rte_eth_conf conf = {0};
    const char *what = "queried";
    int failed = rte_eth_dev_info_get(port->id, &port->info);
    if (failed == 0 && (port->config.rx_queues > port->info.max_rx_queues || port->config.tx_queues > port->info.max_tx_queues))
        return problem_set(problem, "device", "the device has at most %u receive and %u transmit queues", port->info.max_rx_queues,
                           port->info.max_tx_queues);
    if (port->config.rx_queues > 1 && port->info.flow_type_rss_offloads != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & port->info.flow_type_rss_offloads;
    }
    if (failed == 0) {
        what = "configured";
        failed = rte_eth_dev_configure(port->id, (uint16_t)port->config.rx_queues, (uint16_t)port->config.tx_queues, &conf);
    }
    uint16_t rx_ring = (uint16_t)port->config.rx_ring, tx_ring = (uint16_t)port->config.tx_ring;
    if (failed == 0 && (what = "given rings", failed = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx_ring, &tx_ring)) == 0) {
        port->config.rx_ring = rx_ring;
        port->config.tx_ring = tx_ring;
        port->pool = pool_of(port, problem);
        if (port->pool == NULL)
            return false;
    }
    for (unsigned queue = 0; failed == 0 && queue < port->config.rx_queues; queue++, what = "given receive queues")
        failed = rte_eth_rx_queue_setup(port->id, (uint16_t)queue, rx_ring, SOCKET_ID_ANY, NULL, port->pool);
    for (unsigned queue = 0; failed == 0 && queue < port->config.tx_queues; queue++, what = "given transmit queues")
        failed = rte_eth_tx_queue_setup(port->id, (uint16_t)queue, tx_ring, SOCKET_ID_ANY, NULL);
    if (failed == 0) {
        what = "given that MTU";
        failed = mtu_set(port->id, port->config.mtu, port->config.device, &port->info);
    }
    if (failed == 0) {
        what = "started";
        failed = rte_eth_dev_start(port->id);
    }
    if (failed != 0)
        return problem_set(problem, "device", "%s cannot be %s: %s (%s)", port->config.device, what, error_text(failed),
                           log_recent());
    (void)rte_eth_promiscuous_enable(port->id); /* some virtual devices have no filter and return an error */
    return true;
}

/* Whether a device can create its socket. DPDK would unlink another process's socket when its own bind fails. */
static bool check_vhost(const char *device, struct problem *problem)
{
    struct vhost_end end = vhost_end_of(device);
    if (end.path[0] == '\0')
        return true;
    for (unsigned i = 0; i < MAX_PORTS; i++) {
        struct vhost_end other = vhost_end_of(ports[i].config.device);
        /* A memory hotplug notifies the peer and waits, holding a lock that the peer needs to answer: deadlock. */
        if (ports[i].used && strcmp(other.path, end.path) == 0 && other.guest != end.guest)
            return problem_set(problem, "device", "port %s is the other end of %s: the two ends must be in different processes",
                               ports[i].config.name, end.path);
    }
    if (end.server && access(end.path, F_OK) == 0)
        return problem_set(problem, "device", "%s exists already: another process listens on it, or it is stale; "
                           "remove it if it is stale", end.path);
    return true;
}

static bool check_device(const char *device, struct problem *problem)
{
    /* DPDK 22.11 closes its own hugepage files once memif connects: no more memory, and perhaps a crash at exit. */
    if (strncmp(device, "net_memif", strlen("net_memif")) == 0 && strstr(device, "zero-copy=yes") != NULL)
        return problem_set(problem, "device", "memif's zero-copy is not supported: DPDK loses its hugepage files with it");
    return check_vhost(device, problem);
}

struct port *port_open(const struct port_config *config, struct problem *problem)
{
    struct port *port = NULL;
    if (port_named(config->name) != NULL) {
        problem_set(problem, "port", "port %s exists already", config->name);
        return NULL;
    }
    for (unsigned i = 0; i < MAX_PORTS && port == NULL; i++)
        if (!ports[i].used)
            port = &ports[i];
    if (port == NULL) {
        problem_set(problem, "port", "all %u ports are in use", MAX_PORTS);
        return NULL;
    }
    if (!check_device(config->device, problem))
        return NULL;
    memset(port, 0, sizeof *port);
    port->config = *config;
    (void)log_recent();
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

unsigned port_drain(struct port *port)
{
    unsigned all = 0;
    for (unsigned queue = 0; queue < port->config.rx_queues; queue++) {
        struct rte_mbuf *buffers[DRAIN_BURST];
        unsigned count = rte_eth_rx_burst(port->id, (uint16_t)queue, buffers, DRAIN_BURST);
        rte_pktmbuf_free_bulk(buffers, count);
        all += count;
    }
    return all;
}

void port_close(struct port *port)
{
    struct rte_eth_dev_info info = port->info;
    for (unsigned flushed = 0, now = 1; port->started && now > 0 && flushed < MAX_FLUSH; flushed += now)
        now = port_drain(port); /* a net_ring keeps the mbufs that were sent into it */
    /* memif's interrupt thread tears the port down when the peer disconnects; closing it at the same time crashes. */
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
    for (unsigned i = 0; i < MAX_PORTS; i++)
        if (ports[i].used)
            port_close(&ports[i]);
}
