"""A guest's flavor: its name and properties, as nova, its commands and its exports are told them."""

from __future__ import annotations

from ouchi.plan.values import GuestPlan


def flavor_name(guest: GuestPlan) -> str:
    """A flavor says what it is."""
    return f"ouchi.{'pinned' if guest.pinned else 'shared'}.{guest.vcpus}c.{guest.memory_mib}m"


def extra_specs(guest: GuestPlan) -> dict[str, str]:
    """A flavor's properties. Without hugepages a vhost-user port is there but dead."""
    specs = {"hw:mem_page_size": "large"}
    if guest.pinned:
        specs |= {"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "share"}
    return specs
