"""nova.conf's part of the plan."""

from __future__ import annotations

from ouchi.plan.target import Target
from ouchi.render.files import Rendered, ini_file
from ouchi.render.ini import Sections, merge

FILTERS = (
    "ComputeFilter",
    "ComputeCapabilitiesFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
)
"""nova's own scheduler filters; those that a plan needs come on top."""


def nova(target: Target) -> tuple[Rendered, ...]:
    """One file for nova-compute, one for nova-scheduler.

    oslo.config reads them after nova.conf, but before a file that the service is started with (``--config-file``).
    """
    return (
        ini_file(
            target,
            "compute/etc/nova/nova.conf.d/90-ouchi.conf",
            compute_sections(target),
            "Goes to /etc/nova/nova.conf.d/90-ouchi.conf on this host. Then: restart nova-compute.",
            "Keys in a file given with --config-file win over these.",
        ),
        ini_file(
            target,
            "scheduler/etc/nova/nova.conf.d/90-ouchi.conf",
            scheduler_sections(target),
            "Goes to /etc/nova/nova.conf.d/90-ouchi.conf where nova-scheduler runs. Then: restart nova-scheduler.",
        ),
    )


def compute_sections(target: Target) -> Sections:
    """nova-compute's configuration: the plan's keys, and vhost-user ports with the maximum of descriptors."""
    return merge({"libvirt": {"rx_queue_size": 1024, "tx_queue_size": 1024}}, target.plan.nova)


def scheduler_sections(target: Target) -> Sections:
    """nova-scheduler's configuration."""
    filters = (*FILTERS, "NUMATopologyFilter", *(["PciPassthroughFilter"] if target.sriov_nics else []))
    return {"filter_scheduler": {"enabled_filters": ",".join(filters)}}
