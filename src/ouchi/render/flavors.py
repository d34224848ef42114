"""Flavors for the servers of the site, as commands of the OpenStack client."""

from __future__ import annotations

from ouchi.plan.target import Target
from ouchi.render.files import Rendered, script, words


def flavors(target: Target) -> Rendered:
    """One script; a flavor that is there already keeps its size and gets the properties."""
    lines: list[str] = []
    for name, guest in {guest.flavor: guest for guest in target.plan.guests}.items():
        size = ("--vcpus", str(guest.vcpus), "--ram", str(guest.memory_mib), "--disk", "1")
        specs = [word for key, value in guest.extra_specs.items() for word in ("--property", f"{key}={value}")]
        lines += [
            f"{words('openstack', 'flavor', 'show', name)} >/dev/null 2>&1 ||",
            f"    {words('openstack', 'flavor', 'create', *size, name)}",
            words("openstack", "flavor", "set", *specs, name),
            "",
        ]
    return script(target, "flavors.sh", lines, "Run it as an administrator of the cloud.")
