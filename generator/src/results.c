#include "results.h"

#include <rte_cycles.h>

#include "stream.h"
#include "trial.h"
#include "worker.h"

static json_t *histogram_json(const struct histogram *histogram)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (histogram->counts[i] != 0)
            json_array_append_new(list, json_pack("[I, I]", (json_int_t)histogram_edge(i), (json_int_t)histogram->counts[i]));
    return list;
}

static double seconds_at(uint64_t tsc)
{
    return tsc == 0 ? 0 : (double)(int64_t)(tsc - trial.start_tsc) / trial.hz;
}

static json_t *gaps_json(const struct stream *stream)
{
    json_t *list = json_array();
    for (uint64_t i = 0; i < stream->rx.gaps && i < MAX_GAPS; i++) {
        const struct gap *gap = &stream->rx.gap[i];
        if (gap->count > 0)
            json_array_append_new(list, json_pack("[f, I, I]", gap->seconds, (json_int_t)gap->first, (json_int_t)gap->count));
    }
    return list;
}

static json_t *stream_json(const struct stream *stream)
{
    json_t *tx = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o}", "intended", (json_int_t)stream->tx.intended,
                             "accepted", (json_int_t)stream->tx.accepted, "late", (json_int_t)stream->tx.late, "tx_full",
                             (json_int_t)stream->tx.tx_full, "partial_bursts", (json_int_t)stream->tx.partial_bursts,
                             "no_mbufs", (json_int_t)stream->tx.no_mbufs, "first", seconds_at(stream->tx.first_tsc),
                             "last", seconds_at(stream->tx.last_tsc), "lateness", histogram_json(&stream->tx.lateness));
    json_t *rx = NULL;
    if (stream->to != NULL)
        rx = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:o, s:o, s:I, s:I}", "port", stream->to->config.name,
                        "received", (json_int_t)stream->rx.received, "duplicated", (json_int_t)stream->rx.duplicated,
                        "reordered", (json_int_t)stream->rx.reordered, "corrupt", (json_int_t)stream->rx.corrupt, "bytes",
                        (json_int_t)stream->rx.bytes, "first", seconds_at(stream->rx.first_tsc), "last",
                        seconds_at(stream->rx.last_tsc), "variation", (json_int_t)stream->rx.variation, "latency",
                        histogram_json(&stream->rx.latency), "gaps", gaps_json(stream), "gaps_seen",
                        (json_int_t)stream->rx.gaps, "gap_frames_dropped", (json_int_t)stream->rx.gap_frames_dropped);
    return json_pack("{s:i, s:s, s:o, s:o*}", "stream", (int)stream->id, "from", stream->from->config.name, "tx", tx, "rx", rx);
}

static json_t *port_counters(const struct port *port)
{
    struct rte_eth_stats now = {0};
    const struct rte_eth_stats *before = &port->before;
    (void)rte_eth_stats_get(port->id, &now);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "port", port->config.name, "rx_packets",
                     (json_int_t)(now.ipackets - before->ipackets), "tx_packets", (json_int_t)(now.opackets - before->opackets),
                     "rx_missed", (json_int_t)(now.imissed - before->imissed), "rx_errors",
                     (json_int_t)(now.ierrors - before->ierrors), "tx_errors", (json_int_t)(now.oerrors - before->oerrors),
                     "rx_nombuf", (json_int_t)(now.rx_nombuf - before->rx_nombuf), "foreign",
                     (json_int_t)trial.unmatched[port - ports].foreign, "wrong_port", (json_int_t)trial.unmatched[port - ports].wrong_port);
}

static json_t *worker_json(const struct worker *worker)
{
    json_t *worst = json_array();
    for (uint64_t i = 0; i < worker->stalls && i < MAX_STALLS; i++)
        json_array_append_new(worst, json_pack("[f, f]", worker->stall[i].seconds, worker->stall[i].length));
    return json_pack("{s:i, s:I, s:I, s:f, s:o, s:o}", "cpu", rte_lcore_to_cpu_id((int)worker->lcore), "loops",
                     (json_int_t)worker->loops, "stalls", (json_int_t)worker->stalls, "longest",
                     (double)worker->longest / trial.hz, "loop_gaps", histogram_json(&worker->loop_gaps), "worst", worst);
}

json_t *results_json(void)
{
    json_t *all = json_array(), *port_list = json_array(), *worker_list = json_array();
    for (unsigned i = 0; i < MAX_STREAMS; i++)
        if (streams[i] != NULL)
            json_array_append_new(all, stream_json(streams[i]));
    for (unsigned i = 0; i < MAX_PORTS; i++)
        if (ports[i].used)
            json_array_append_new(port_list, port_counters(&ports[i]));
    for (unsigned i = 0; i < workers_count; i++)
        json_array_append_new(worker_list, worker_json(&workers[i]));
    return json_pack("{s:i, s:f, s:b, s:o, s:o, s:o}", "trial", (int)trial.number, "unit_ns",
                     (double)(1 << SIGNATURE_TIME_SHIFT) * 1e9 / (trial.hz > 0 ? trial.hz : 1e9), "interrupted",
                     (int)trial.interrupted, "streams", all, "ports", port_list, "workers", worker_list);
}

json_t *progress_json(void)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < MAX_STREAMS; i++)
        if (streams[i] != NULL) /* read while workers write: the values are not of the same instant */
            json_array_append_new(all, json_pack("[i, I, I, I]", (int)i, (json_int_t)streams[i]->tx.accepted,
                                                 (json_int_t)streams[i]->rx.received, (json_int_t)streams[i]->rx.next));
    return json_pack("{s:s, s:i, s:f, s:o}", "event", "progress", "trial", (int)trial.number, "seconds",
                     seconds_at(rte_rdtsc()), "streams", all);
}
