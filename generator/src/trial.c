#include "trial.h"

#include <string.h>

#include <rte_cycles.h>

#include "stream.h"
#include "worker.h"

struct trial trial;

enum { FLUSH_MOST = 1 << 20 }; /* frames of an earlier trial that may still lie in a port */

double trial_due(double pps, double cycles)
{
    double seconds = cycles / trial.hz, ramp = trial.wish.ramp;
    if (seconds < ramp) /* the rate grows from nothing: half of what it would be */
        return pps * seconds * seconds / (2 * ramp);
    return pps * (seconds - ramp / 2);
}

static void flush(void)
{
    for (unsigned i = 0; i < PORTS_MOST; i++)
        for (unsigned flushed = 0, now = 1; ports[i].used && now > 0 && flushed < FLUSH_MOST; flushed += now)
            now = receive_and_forget(&ports[i]);
}

static void reset(struct stream *stream)
{
    memset(&stream->sent, 0, sizeof stream->sent);
    memset(&stream->got, 0, sizeof stream->got);
    stream->sent.mark = signature_mark(stream->id, trial.number);
    stream->sent.random = 0x9E3779B97F4A7C15ULL + stream->id;
    stream->sent.intended = UINT64_MAX;
    if (trial.wish.seconds > 0 && stream->pps > 0)
        stream->sent.intended = (uint64_t)(trial_due(stream->pps, trial.wish.seconds * trial.hz) + 0.5);
    if (trial.wish.count > 0)
        stream->sent.intended = RTE_MIN(stream->sent.intended, trial.wish.count);
    for (unsigned i = 0; i < stream->fields_count; i++) {
        stream->fields[i].at = 0;
        stream->fields[i].left = stream->fields[i].every;
    }
}

bool trial_start(const struct trial_wish *wish, struct problem *problem)
{
    if (trial_is_running())
        return problem_set(problem, "do", "a trial is running; stop it first");
    unsigned sending = 0;
    for (unsigned i = 0; i < STREAMS_MOST; i++)
        if (streams[i] != NULL) {
            if (!stream_ready(streams[i], problem))
                return false;
            sending++;
        }
    if (sending == 0)
        return problem_set(problem, "streams", "there is nothing to send");
    unsigned number = trial.number + 1;
    memset(&trial, 0, sizeof trial);
    trial.number = number;
    trial.wish = *wish;
    trial.hz = (double)rte_get_tsc_hz();
    for (unsigned i = 0; i < STREAMS_MOST; i++)
        if (streams[i] != NULL)
            reset(streams[i]);
    flush();
    for (unsigned i = 0; i < PORTS_MOST; i++)
        if (ports[i].used)
            rte_eth_stats_get(ports[i].id, &ports[i].before);
    workers_assign();
    trial.start_tsc = rte_rdtsc() + (uint64_t)(0.001 * trial.hz); /* time for all workers to wake up */
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

bool trial_tend(void)
{
    if (!trial_is_running())
        return false;
    uint64_t now = rte_rdtsc();
    if (trial.wish.seconds > 0 && !trial.stopping &&
        (double)(int64_t)(now - trial.start_tsc) > (trial.wish.seconds + 1) * trial.hz)
        __atomic_store_n(&trial.stopping, true, __ATOMIC_RELEASE); /* a stream without rate has no end of its own */
    if (trial.sent_tsc == 0) {
        for (unsigned i = 0; i < workers_count; i++)
            if (!__atomic_load_n(&workers[i].all_sent, __ATOMIC_ACQUIRE))
                return false;
        trial.sent_tsc = now;
    }
    if ((double)(now - trial.sent_tsc) < trial.wish.drain * trial.hz)
        return false;
    workers_rest();
    return true;
}
