#include "vhost_wake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vhost.h"

static void *wait_and_wake(void *argument)
{
    struct vhost_wake *wake = argument;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += wake->timeout;
    pthread_mutex_lock(&wake->lock);
    while (!wake->over && pthread_cond_timedwait(&wake->change, &wake->lock, &end) != ETIMEDOUT)
        ;
    wake->woken = !wake->over;
    pthread_mutex_unlock(&wake->lock);
    if (wake->woken) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", wake->path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            usleep(1000);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

void vhost_wake_arm(struct vhost_wake *wake, const char *device, unsigned timeout)
{
    memset(wake, 0, sizeof *wake);
    struct vhost_end end = vhost_end_of(device);
    if (end.path[0] == '\0' || !end.guest || !end.server)
        return;
    memcpy(wake->path, end.path, sizeof end.path);
    wake->timeout = timeout;
    pthread_mutex_init(&wake->lock, NULL);
    pthread_cond_init(&wake->change, NULL);
    wake->armed = pthread_create(&wake->thread, NULL, wait_and_wake, wake) == 0;
}

bool vhost_wake_disarm(struct vhost_wake *wake)
{
    if (!wake->armed)
        return false;
    pthread_mutex_lock(&wake->lock);
    wake->over = true;
    pthread_cond_signal(&wake->change);
    pthread_mutex_unlock(&wake->lock);
    pthread_join(wake->thread, NULL);
    return wake->woken;
}
