"""The flavor of a guest: its name and extra specs."""

from __future__ import annotations

from ouchi.plan.values import GuestPlan


def flavor_name(guest: GuestPlan) -> str:
    """``ouchi.pinned.2c.512m``: pinned or shared, vCPUs, MiB of memory."""
    return f"ouchi.{'pinned' if guest.pinned else 'shared'}.{guest.vcpus}c.{guest.memory_mib}m"


def extra_specs(guest: GuestPlan) -> dict[str, str]:
    """The extra specs of the flavor. Without hugepages a vhost-user port carries no packets."""
    specs = {"hw:mem_page_size": "large"}
    if guest.pinned:
        specs |= {"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "share"}
    return specs
