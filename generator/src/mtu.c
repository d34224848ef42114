#include "mtu.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AF_PACKET_FRAME = 2048 /* what the driver's ring has unless told */, AF_PACKET_HEADERS = 96 };

static unsigned long ring_frame(const char *device)
{
    const char *told = strstr(device, ",framesz=");
    return told ? strtoul(told + strlen(",framesz="), NULL, 10) : AF_PACKET_FRAME;
}

static int interface_mtu(unsigned index)
{
    struct ifreq asked = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool told = fd >= 0 && if_indextoname(index, asked.ifr_name) != NULL && ioctl(fd, SIOCGIFMTU, &asked) == 0;
    if (fd >= 0)
        close(fd);
    return told ? asked.ifr_mtu : 0;
}

/* DPDK lets no MTU above 1500 through to af_packet, whatever its ring and the kernel's interface take. */
static bool af_packet_takes(const struct port *port)
{
    return strcmp(port->info.driver_name, "net_af_packet") == 0 &&
           ring_frame(port->wish.device) >= port->wish.mtu + AF_PACKET_HEADERS &&
           interface_mtu(port->info.if_index) >= (int)port->wish.mtu;
}

int mtu_set(const struct port *port)
{
    if (port->wish.mtu == RTE_ETHER_MTU)
        return 0;
    int failed = rte_eth_dev_set_mtu(port->id, (uint16_t)port->wish.mtu);
    if (failed == -ENOTSUP) /* virtual devices that take what comes */
        return 0;
    return failed == -EINVAL && af_packet_takes(port) ? 0 : failed;
}
