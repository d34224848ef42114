#include "worker.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_pause.h>

#include "trial.h"

struct worker workers[WORKERS_MOST];
unsigned workers_count;

static bool leaving;

#define BREATH 0.0005 /* seconds that a worker that naps runs at most, so that nobody on its CPU waits for ever */

enum { REST = 200 /* microseconds between two looks whether there is work */, PAUSE = 50 };

static void note_absence(struct worker *worker, uint64_t now, uint64_t away)
{
    if ((double)away <= trial.wish.stall * trial.hz)
        return;
    if (worker->stalls < STALLS_MOST) {
        worker->stall[worker->stalls].seconds = (double)(now - away - trial.start_tsc) / trial.hz;
        worker->stall[worker->stalls].length = (double)away / trial.hz;
    }
    worker->stalls++;
}

static void work(struct worker *worker)
{
    const struct timespec nap = {.tv_nsec = (long)(trial.wish.nap * 1e9)};
    const uint64_t patience = (uint64_t)(BREATH * trial.hz);
    uint64_t last = 0, napped = rte_rdtsc();
    while (__atomic_load_n(&worker->run, __ATOMIC_ACQUIRE)) {
        uint64_t now = rte_rdtsc();
        bool began = (int64_t)(now - trial.start_tsc) >= 0;
        if (began) {
            if (last != 0) {
                uint64_t away = now - last;
                histogram_add(&worker->away, (uint32_t)RTE_MIN(away >> SIGNATURE_TIME_SHIFT, UINT32_MAX));
                if (unlikely(away > worker->longest))
                    worker->longest = away;
                note_absence(worker, now, away);
            }
            last = now;
            worker->loops++;
        }
        bool sending = false, idle = true;
        for (unsigned i = 0; i < worker->sends_count; i++) {
            struct stream *stream = worker->sends[i];
            if (!stream->sent.done) {
                if (began && transmit(stream, rte_rdtsc()))
                    idle = false;
                sending = true;
            }
        }
        for (unsigned i = 0; i < worker->polls_count; i++)
            if (receive(worker->polls[i]))
                idle = false;
        if (!sending)
            __atomic_store_n(&worker->all_sent, true, __ATOMIC_RELEASE);
        if (!sending && worker->polls_count == 0)
            break;
        if (nap.tv_nsec > 0 && (idle || now - napped > patience)) {
            nanosleep(&nap, NULL); /* who gives a CPU up of itself gets it back at once when it wakes */
            napped = rte_rdtsc();
        }
    }
}

/* Ahead of all that is not real time, or one of many. A kernel that refuses leaves it as it was: trials show that. */
static void urgent(bool first)
{
    const struct sched_param priority = {.sched_priority = first ? 1 : 0};
    (void)pthread_setschedparam(pthread_self(), first ? SCHED_FIFO : SCHED_OTHER, &priority);
}

static int live(void *argument)
{
    struct worker *worker = argument;
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* naps as short as asked: 50 microseconds longer otherwise */
    while (!__atomic_load_n(&leaving, __ATOMIC_ACQUIRE)) {
        if (__atomic_load_n(&worker->run, __ATOMIC_ACQUIRE)) {
            __atomic_store_n(&worker->runs, true, __ATOMIC_RELEASE);
            urgent(trial.wish.first);
            work(worker);
            urgent(false);
            while (__atomic_load_n(&worker->run, __ATOMIC_ACQUIRE)) /* nothing more to do, but not yet told to rest */
                usleep(PAUSE);
            __atomic_store_n(&worker->runs, false, __ATOMIC_RELEASE);
        }
        usleep(REST);
    }
    return 0;
}

bool workers_launch(void)
{
    unsigned lcore;
    RTE_LCORE_FOREACH_WORKER(lcore)
    {
        if (workers_count == WORKERS_MOST)
            break;
        struct worker *worker = &workers[workers_count++];
        worker->lcore = lcore;
        if (rte_eal_remote_launch(live, worker, lcore) != 0)
            return false;
    }
    return workers_count > 0;
}

void workers_assign(void)
{
    for (unsigned i = 0; i < workers_count; i++) {
        unsigned lcore = workers[i].lcore;
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].lcore = lcore;
    }
    for (unsigned i = 0; i < STREAMS_MOST; i++)
        if (streams[i] != NULL) {
            struct worker *worker = &workers[streams[i]->worker];
            worker->sends[worker->sends_count++] = streams[i];
        }
    for (unsigned i = 0; i < PORTS_MOST; i++) {
        bool expected = false;
        for (unsigned s = 0; s < STREAMS_MOST; s++)
            expected |= streams[s] != NULL && streams[s]->to == &ports[i];
        if (ports[i].used && expected) {
            struct worker *worker = &workers[ports[i].wish.worker];
            worker->polls[worker->polls_count++] = &ports[i];
        }
    }
}

void workers_run(void)
{
    for (unsigned i = 0; i < workers_count; i++)
        __atomic_store_n(&workers[i].run, true, __ATOMIC_RELEASE);
}

void workers_rest(void)
{
    for (unsigned i = 0; i < workers_count; i++)
        __atomic_store_n(&workers[i].run, false, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < workers_count; i++)
        while (__atomic_load_n(&workers[i].runs, __ATOMIC_ACQUIRE))
            usleep(PAUSE);
}

void workers_join(void)
{
    workers_rest();
    __atomic_store_n(&leaving, true, __ATOMIC_RELEASE);
    rte_eal_mp_wait_lcore();
}
