#include "vhost.h"

#include <string.h>

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
