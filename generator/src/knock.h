/* Ends a wait of DPDK's that has no end of its own: a virtio-user server waits in accept() for its first client. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct knock {
    char path[108];
    unsigned patience; /* seconds */
    bool armed, over, knocked;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
};

/* After so many seconds somebody knocks at the device's socket and leaves: the wait fails. Nothing for other devices. */
void knock_arm(struct knock *knock, const char *device, unsigned patience);

/* True when somebody had to knock. */
bool knock_disarm(struct knock *knock);
