"""The render targets: each is a function ``NAME`` in a module ``NAME``; it returns one file or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ouchi.plan.target import Target
    from ouchi.render.files import Rendered

TARGETS: Mapping[str, str] = {
    "kernel": "kernel parameters, for GRUB",
    "systemd": "CPUs of services, modules, the sockets' folder",
    "ovs": "a script for Open vSwitch: settings, bridges, ports",
    "nova": "nova.conf for nova-compute and nova-scheduler",
    "neutron": "neutron with OVN or with the Open vSwitch agent",
    "flavors": "a script that makes the flavors",
    "libvirt": "domains without OpenStack, and their ports",
    "tuned": "a profile",
    "irqbalance": "CPUs without interrupts",
    "driverctl": "a script that binds the NICs",
    "netplan": "VFs",
    "kolla-ansible": "inventory, variables, configuration",
    "openstack-ansible": "a compute host",
    "devstack": "local.conf and local.sh",
}
"""Each target and what it is; its module is imported when it is rendered."""


DEPLOYMENTS = ("kolla-ansible", "openstack-ansible")
"""Targets that are one set of files for all hosts."""


def render_several(hosts: Sequence[Target], targets: Iterable[str]) -> dict[str, tuple[Rendered, ...]]:
    """The files of several hosts: by ``HOST/TARGET``, and by the target alone where it is for all of them.

    Raises :class:`~ouchi.core.errors.BadInput` as :func:`render`.
    """
    if len(hosts) == 1:
        return render(hosts[0], targets)
    names = list(dict.fromkeys(targets))
    apart = [name for name in names if name not in DEPLOYMENTS]
    found = {f"{host.site.name}/{name}": files for host in hosts for name, files in render(host, apart).items()}
    return found | {name: _function(name)(*hosts) for name in names if name in DEPLOYMENTS}


def render(target: Target, targets: Iterable[str]) -> dict[str, tuple[Rendered, ...]]:
    """The files of each target, by its name, in the order asked for.

    Raises :class:`~ouchi.core.errors.BadInput` for names of the host that cannot stand in a file.
    """
    from ouchi.plan.target import check_names

    check_names(target.plan)
    found = {}
    for name in dict.fromkeys(targets):
        made = _function(name)(target)
        found[name] = made if isinstance(made, tuple) else (made,)
    return found


def _function(name: str) -> Callable[..., Any]:
    module = name.replace("-", "_")
    return cast("Callable[..., Any]", getattr(import_module(f"ouchi.render.{module}"), module))
