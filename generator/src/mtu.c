#include "mtu.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AF_PACKET_FRAME = 2048 /* the driver's default */, AF_PACKET_HEADERS = 96 };

static unsigned long ring_frame(const char *device)
{
    const char *option = strstr(device, ",framesz=");
    return option ? strtoul(option + strlen(",framesz="), NULL, 10) : AF_PACKET_FRAME;
}

static int interface_mtu(unsigned index)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known = fd >= 0 && if_indextoname(index, request.ifr_name) != NULL && ioctl(fd, SIOCGIFMTU, &request) == 0;
    if (fd >= 0)
        close(fd);
    return known ? request.ifr_mtu : 0;
}

/* DPDK's af_packet refuses an MTU above 1500 even where its ring and the kernel's interface allow it. */
static bool af_packet_fits(unsigned mtu, const char *device, const struct rte_eth_dev_info *info)
{
    return strcmp(info->driver_name, "net_af_packet") == 0 && ring_frame(device) >= mtu + AF_PACKET_HEADERS &&
           interface_mtu(info->if_index) >= (int)mtu;
}

int mtu_set(uint16_t port, unsigned mtu, const char *device, const struct rte_eth_dev_info *info)
{
    if (mtu == RTE_ETHER_MTU)
        return 0;
    int failed = rte_eth_dev_set_mtu(port, (uint16_t)mtu);
    if (failed == -ENOTSUP) /* virtual devices without an MTU */
        return 0;
    return failed == -EINVAL && af_packet_fits(mtu, device, info) ? 0 : failed;
}
