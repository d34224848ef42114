/* The server and client ends of a vhost-user socket. */
#pragma once

#include <stdbool.h>

#include "problem.h"

struct vhost_end {
    char path[108]; /* empty for other devices */
    bool server;    /* it creates the socket */
    bool guest;     /* virtio-user, not vhost */
};

struct vhost_end vhost_end_of(const char *device);

/* Whether a device can create its socket. DPDK would unlink another process's socket when its own bind fails. */
bool vhost_check(const char *device, struct problem *problem);
