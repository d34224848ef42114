"""TCP ports that the kernel keeps for root: what is sent to them over loopback reaches no program of another user.

So every client of ouchi's services is safe, also those that cannot look who listens: OpenStack's services among
themselves, oslo.messaging and the stock command line. keystoneauth and py-amqp know no Unix sockets.
"""

from __future__ import annotations

from ouchi.core.errors import Finding, error
from ouchi.machine import Reader

PORTS = range(290, 300)
"""Of one instance. IANA has assigned 288 to 307 to nobody; above 511 clients of NFS and RPC take ports at random
(bindresvport(3), sunrpc.min_resvport)."""

START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
"""The first port that every user may listen on (Documentation/networking/ip-sysctl.rst)."""


def unreserved(machine: Reader) -> list[Finding]:
    """A finding when other users may listen on the ports; none before Linux 4.11, where 1024 is fixed."""
    start = machine.read(START).strip() if machine.exists(START) else "1024"
    if start.isdecimal() and int(start) >= PORTS.stop:
        return []
    return [
        error(
            f"every user may listen on ports that OpenStack's passwords are sent to ({PORTS.start} to {PORTS.stop - 1})",
            where=START,
            found=start,
            expected=f"at least {PORTS.stop} (the kernel's default is 1024)",
            remedy="sysctl net.ipv4.ip_unprivileged_port_start=1024, and the same where /etc/sysctl.d sets it",
        )
    ]
