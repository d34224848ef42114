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

#include "receive.h"
#include "transmit.h"
#include "trial.h"

struct worker workers[MAX_WORKERS];
unsigned workers_count;

static bool exiting;

#define MAX_RUN 0.0005 /* seconds; a worker on a shared CPU sleeps at the latest after this time, so that others are scheduled */

enum { IDLE_POLL = 200 /* microseconds */, PARK_POLL = 50 };

static void note_stall(struct worker *worker, uint64_t now, uint64_t loop_gaps)
{
    if ((double)loop_gaps <= trial.config.stall * trial.hz)
        return;
    if (worker->stalls < MAX_STALLS) {
        worker->stall[worker->stalls].seconds = (double)(now - loop_gaps - trial.start_tsc) / trial.hz;
        worker->stall[worker->stalls].length = (double)loop_gaps / trial.hz;
    }
    worker->stalls++;
}

static void work(struct worker *worker)
{
    const struct timespec idle_sleep = {.tv_nsec = (long)(trial.config.idle_sleep * 1e9)};
    const uint64_t timeout = (uint64_t)(MAX_RUN * trial.hz);
    uint64_t last = 0, last_sleep = rte_rdtsc();
    while (__atomic_load_n(&worker->run, __ATOMIC_ACQUIRE)) {
        uint64_t now = rte_rdtsc();
        bool began = (int64_t)(now - trial.start_tsc) >= 0;
        if (began) {
            if (last != 0) {
                uint64_t loop_gaps = now - last;
                histogram_add(&worker->loop_gaps, (uint32_t)RTE_MIN(loop_gaps >> SIGNATURE_TIME_SHIFT, UINT32_MAX));
                if (unlikely(loop_gaps > worker->longest))
                    worker->longest = loop_gaps;
                note_stall(worker, now, loop_gaps);
            }
            last = now;
            worker->loops++;
        }
        bool sending = false, idle = true;
        for (unsigned i = 0; i < worker->sends_count; i++) {
            struct stream *stream = worker->sends[i];
            if (!stream->tx.done) {
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
        if (idle_sleep.tv_nsec > 0 && (idle || now - last_sleep > timeout)) {
            nanosleep(&idle_sleep, NULL); /* a task that yields voluntarily is scheduled at once when it wakes */
            last_sleep = rte_rdtsc();
        }
    }
}

/* Switch between SCHED_FIFO and SCHED_OTHER. Failure is tolerated: stalls show it. */
static void set_realtime(bool realtime)
{
    const struct sched_param priority = {.sched_priority = realtime ? 1 : 0};
    (void)pthread_setschedparam(pthread_self(), realtime ? SCHED_FIFO : SCHED_OTHER, &priority);
}

static int worker_main(void *argument)
{
    struct worker *worker = argument;
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* the default slack makes each sleep 50 microseconds longer */
    while (!__atomic_load_n(&exiting, __ATOMIC_ACQUIRE)) {
        if (__atomic_load_n(&worker->run, __ATOMIC_ACQUIRE)) {
            __atomic_store_n(&worker->running, true, __ATOMIC_RELEASE);
            set_realtime(trial.config.realtime);
            work(worker);
            set_realtime(false);
            while (__atomic_load_n(&worker->run, __ATOMIC_ACQUIRE)) /* done, waiting to be parked */
                usleep(PARK_POLL);
            __atomic_store_n(&worker->running, false, __ATOMIC_RELEASE);
        }
        usleep(IDLE_POLL);
    }
    return 0;
}

bool workers_launch(void)
{
    unsigned lcore;
    RTE_LCORE_FOREACH_WORKER(lcore)
    {
        if (workers_count == MAX_WORKERS)
            break;
        struct worker *worker = &workers[workers_count++];
        worker->lcore = lcore;
        if (rte_eal_remote_launch(worker_main, worker, lcore) != 0)
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
    for (unsigned i = 0; i < MAX_STREAMS; i++)
        if (streams[i] != NULL) {
            struct worker *worker = &workers[streams[i]->worker];
            worker->sends[worker->sends_count++] = streams[i];
        }
    for (unsigned i = 0; i < MAX_PORTS; i++) {
        bool expected = false;
        for (unsigned s = 0; s < MAX_STREAMS; s++)
            expected |= streams[s] != NULL && streams[s]->to == &ports[i];
        if (ports[i].used && expected) {
            struct worker *worker = &workers[ports[i].config.worker];
            worker->polls[worker->polls_count++] = &ports[i];
        }
    }
}

void workers_run(void)
{
    for (unsigned i = 0; i < workers_count; i++)
        __atomic_store_n(&workers[i].run, true, __ATOMIC_RELEASE);
}

void workers_park(void)
{
    for (unsigned i = 0; i < workers_count; i++)
        __atomic_store_n(&workers[i].run, false, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < workers_count; i++)
        while (__atomic_load_n(&workers[i].running, __ATOMIC_ACQUIRE))
            usleep(PARK_POLL);
}

void workers_join(void)
{
    workers_park();
    __atomic_store_n(&exiting, true, __ATOMIC_RELEASE);
    rte_eal_mp_wait_lcore();
}
