/* The server and client ends of a vhost-user socket. */
#pragma once

#include <stdbool.h>

struct vhost_end {
    char path[108]; /* empty for other devices */
    bool server;    /* it creates the socket */
    bool guest;     /* virtio-user, not vhost */
};

struct vhost_end vhost_end_of(const char *device);
