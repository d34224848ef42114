/* A timeout for DPDK's blocking accept(): a virtio-user server waits without limit for its first client. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct vhost_wake {
    char path[108];
    unsigned timeout; /* seconds */
    bool armed, over, woken;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
};

/* After `timeout` seconds, connect to the device's socket and disconnect, so that accept() returns. Does nothing for other devices. */
void vhost_wake_arm(struct vhost_wake *wake, const char *device, unsigned timeout);

/* True when the timeout has expired. */
bool vhost_wake_disarm(struct vhost_wake *wake);
