#include "vhost.h"

#include <string.h>
#include <unistd.h>

#include "port.h"

struct vhost_end vhost_end_of(const char *device)
{
    struct vhost_end end = {.guest = strncmp(device, "net_virtio_user", strlen("net_virtio_user")) == 0};
    const char *key = end.guest ? ",path=" : ",iface=", *path = strstr(device, key);
    if (path == NULL || (!end.guest && strncmp(device, "net_vhost", strlen("net_vhost")) != 0))
        return end;
    path += strlen(key);
    size_t length = strcspn(path, ",");
    if (length >= sizeof end.path)
        return end;
    memcpy(end.path, path, length);
    end.server = end.guest ? strstr(device, ",server=1") != NULL : strstr(device, ",client=1") == NULL;
    return end;
}

bool vhost_check(const char *device, struct problem *problem)
{
    struct vhost_end end = vhost_end_of(device);
    if (end.path[0] == '\0')
        return true;
    for (unsigned i = 0; i < MAX_PORTS; i++) {
        struct vhost_end other = vhost_end_of(ports[i].config.device);
        /* A memory hotplug notifies the peer and waits, holding a lock that the peer needs to answer: deadlock. */
        if (ports[i].used && strcmp(other.path, end.path) == 0 && other.guest != end.guest)
            return problem_set(problem, "device", "port %s is the other end of %s: the two ends must be in different processes",
                               ports[i].config.name, end.path);
    }
    if (end.server && access(end.path, F_OK) == 0)
        return problem_set(problem, "device", "%s exists already: another process listens on it, or it is stale; "
                           "remove it if it is stale", end.path);
    return true;
}
