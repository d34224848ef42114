/* The two ends of a vhost-user socket: who makes it, and who comes to it. */
#pragma once

#include <stdbool.h>

#include "problem.h"

struct vhost_end {
    char path[108]; /* empty for other devices */
    bool server;    /* it makes the socket */
    bool guest;     /* virtio-user, not vhost */
};

struct vhost_end vhost_end_of(const char *device);

/* Whether a device can have its socket. DPDK removes a socket that it failed to make, also when it is another's. */
bool vhost_check(const char *device, struct problem *problem);
