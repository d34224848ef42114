#include "trial_run.h"

#include <string.h>

#include <rte_cycles.h>

#include "trial.h"
#include "worker.h"

enum { MAX_FLUSH = 1 << 20 }; /* frames of an earlier trial that a port may still hold */

static void flush(void)
{
    for (unsigned i = 0; i < MAX_PORTS; i++)
        for (unsigned flushed = 0, now = 1; ports[i].used && now > 0 && flushed < MAX_FLUSH; flushed += now)
            now = port_drain(&ports[i]);
}

static void reset(struct stream *stream)
{
    memset(&stream->tx, 0, sizeof stream->tx);
    memset(&stream->rx, 0, sizeof stream->rx);
    stream->tx.mark = signature_mark(stream->id, trial.number);
    stream->tx.random = 0x9E3779B97F4A7C15ULL + stream->id;
    stream->tx.intended = UINT64_MAX;
    if (trial.config.seconds > 0 && stream->pps > 0)
        stream->tx.intended = (uint64_t)(trial_due(stream->pps, trial.config.seconds * trial.hz) + 0.5);
    if (trial.config.count > 0)
        stream->tx.intended = RTE_MIN(stream->tx.intended, trial.config.count);
    for (unsigned i = 0; i < stream->fields_count; i++) {
        stream->fields[i].at = 0;
        stream->fields[i].left = stream->fields[i].every;
    }
}

bool trial_start(const struct trial_config *config, struct problem *problem)
{
    if (trial_is_running())
        return problem_set(problem, "do", "a trial is running; stop it first");
    unsigned sending = 0;
    for (unsigned i = 0; i < MAX_STREAMS; i++)
        if (streams[i] != NULL) {
            if (!stream_ready(streams[i], problem))
                return false;
            sending++;
        }
    if (sending == 0)
        return problem_set(problem, "streams", "no streams are loaded");
    unsigned number = trial.number + 1;
    memset(&trial, 0, sizeof trial);
    trial.number = number;
    trial.config = *config;
    trial.hz = (double)rte_get_tsc_hz();
    for (unsigned i = 0; i < MAX_STREAMS; i++)
        if (streams[i] != NULL)
            reset(streams[i]);
    flush();
    for (unsigned i = 0; i < MAX_PORTS; i++)
        if (ports[i].used)
            rte_eth_stats_get(ports[i].id, &ports[i].before);
    workers_assign();
    trial.start_tsc = rte_rdtsc() + (uint64_t)(0.001 * trial.hz); /* all workers are awake by then */
    workers_run();
    return true;
}

void trial_stop(void)
{
    if (trial_is_running() && !trial.stopping) {
        trial.interrupted = true;
        __atomic_store_n(&trial.stopping, true, __ATOMIC_RELEASE);
    }
}

bool trial_is_running(void)
{
    return workers_count > 0 && workers[0].run;
}

bool trial_poll(void)
{
    if (!trial_is_running())
        return false;
    uint64_t now = rte_rdtsc();
    if (trial.config.seconds > 0 && !trial.stopping &&
        (double)(int64_t)(now - trial.start_tsc) > (trial.config.seconds + 1) * trial.hz)
        __atomic_store_n(&trial.stopping, true, __ATOMIC_RELEASE); /* an unpaced stream has no end of its own */
    if (trial.sent_tsc == 0) {
        for (unsigned i = 0; i < workers_count; i++)
            if (!__atomic_load_n(&workers[i].all_sent, __ATOMIC_ACQUIRE))
                return false;
        trial.sent_tsc = now;
    }
    if ((double)(now - trial.sent_tsc) < trial.config.drain * trial.hz)
        return false;
    workers_park();
    return true;
}
