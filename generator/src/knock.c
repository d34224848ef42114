#include "knock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vhost.h"

static void *wait_and_knock(void *argument)
{
    struct knock *knock = argument;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += knock->patience;
    pthread_mutex_lock(&knock->lock);
    while (!knock->over && pthread_cond_timedwait(&knock->change, &knock->lock, &end) != ETIMEDOUT)
        ;
    knock->knocked = !knock->over;
    pthread_mutex_unlock(&knock->lock);
    if (knock->knocked) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", knock->path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            usleep(1000);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

void knock_arm(struct knock *knock, const char *device, unsigned patience)
{
    memset(knock, 0, sizeof *knock);
    struct vhost_end end = vhost_end_of(device);
    if (end.path[0] == '\0' || !end.guest || !end.server)
        return;
    memcpy(knock->path, end.path, sizeof end.path);
    knock->patience = patience;
    pthread_mutex_init(&knock->lock, NULL);
    pthread_cond_init(&knock->change, NULL);
    knock->armed = pthread_create(&knock->thread, NULL, wait_and_knock, knock) == 0;
}

bool knock_disarm(struct knock *knock)
{
    if (!knock->armed)
        return false;
    pthread_mutex_lock(&knock->lock);
    knock->over = true;
    pthread_cond_signal(&knock->change);
    pthread_mutex_unlock(&knock->lock);
    pthread_join(knock->thread, NULL);
    return knock->knocked;
}
