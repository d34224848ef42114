"""``ouchi status``: what runs now, each part beside the plan; it looks and changes nothing."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import Any

from ouchi.checks.status import cloud, host, services
from ouchi.checks.status.looks import Look, look_together
from ouchi.checks.status.values import HostStatus, Part, by_layer, findings_of
from ouchi.checks.verify import labels_of
from ouchi.core.errors import BadInput, Finding, info, warning
from ouchi.core.instance import Instance
from ouchi.machine import Machine, processes
from ouchi.machine.guests import guests_of
from ouchi.parts.openstack.services import APIS
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import Supervisor
from ouchi.plan.load import read_target
from ouchi.plan.target import Target
from ouchi.steps.journal import Journal

__all__ = ["HostStatus", "Part", "kept_site", "read_status", "under_way"]

SECONDS = 9.0
"""How long all looks together may take; on a healthy host they take one or two."""


def kept_site(instance: Instance) -> str:
    """Where ``up`` keeps the text of the site file that it used."""
    return f"{instance.state}/site.yaml"


def read_status(machine: Machine, instance: Instance, supervisor: Supervisor, busy: str = "") -> HostStatus:
    """The state of every part of an instance, within some ten seconds. Needs root.

    ``busy`` says who is changing the instance at the moment (:func:`under_way`).
    """
    begin = time.monotonic()
    states = supervisor.states()
    strays: dict[str, int] = {}
    for process in processes.marked(instance.name):
        strays.setdefault(process.service, process.pid)
    journal = Journal(machine, instance.state)
    notes = [info(f"{busy} is under way: what it shows now may be done with soon")] if busy else []
    if not states and not strays and not guests_of(instance):
        return HostStatus(False, (), (), (*notes, *_left(journal)))

    target, problems = _wanted(machine, instance)
    settings = _settings(machine, instance, target)
    parts = [
        services.supervisor_part(supervisor.kind, states, strays),
        *services.service_parts(services.expected(settings), states, strays),
        *problems,
    ]
    looks = _looks(machine, settings, target, journal)
    left = max(1.0, SECONDS - (time.monotonic() - begin))
    parts = list(by_layer([*parts, *look_together(looks, services.running(states, strays), left)]))
    works, _ = _json(machine, f"{instance.run}/kvm.json", (True, ""))
    labels = labels_of(target.plan, emulated=not works) if target else ()
    return HostStatus(True, labels, tuple(parts), (*findings_of(parts), *notes))


def under_way(machine: Machine, lock: str) -> str:
    """Who holds the lock file of ``up`` and ``down``, in its own words; empty when nobody does."""
    try:
        said, locks = machine.read(lock).strip(), machine.read("/proc/locks")
    except OSError:
        return ""
    pid = re.search(r"(\d+)$", said)
    held = pid and re.search(rf"FLOCK +ADVISORY +WRITE +{pid[1]} ", locks)
    return said if held else ""


def _left(journal: Journal) -> list[Finding]:
    """What a run that did not get far, or a crash, has left changed on a host that is not up."""
    kept = [kind for kind in ("hugepages", "device", "clouds") if journal.records(kind)]
    if not kept:
        return []
    return [warning("changes of ouchi are still in place", found=", ".join(kept), remedy="ouchi up, or: ouchi down")]


def _wanted(machine: Machine, instance: Instance) -> tuple[Target | None, list[Part]]:
    """The plan that ``up`` made, made afresh; without one, the parts that say why."""
    where = kept_site(instance)
    if not machine.exists(where):
        return None, [Part("host", "", "plan", "unknown", False, f"no {where}", "the site file as `ouchi up` keeps it")]
    try:
        return read_target(machine, where), []
    except BadInput as reason:
        return None, [
            Part("host", "", "plan", "cannot be made", False, finding.found, finding.expected, finding.claim)
            for finding in reason.findings
        ]


def _settings(machine: Machine, instance: Instance, target: Target | None) -> Settings:
    """What ``up`` works with, as far as it is there: nothing is generated, nothing tried out."""
    return Settings(
        instance=instance,
        secrets=_json(machine, f"{instance.state}/secrets.json", {}),
        host=target.facts.system.hostname if target else "",
        nova=target.plan.nova if target else {},
        physnets=tuple(target.bridges) if target else (),
    )


def _json(machine: Machine, path: str, default: Any) -> Any:
    return json.loads(machine.read(path)) if machine.exists(path) else default


def _looks(machine: Machine, settings: Settings, target: Target | None, journal: Journal) -> list[Look]:
    """The table of looks: layer, what it shows, whom it asks, how."""
    instance = settings.instance
    looks = [Look("host", "hugetlbfs", (), lambda: [host.mount_part(machine, instance)])]
    looks += [Look("cloud", f"API {name}", (f"{name}-api",), partial(cloud.api_parts, settings, name)) for name in APIS]
    if target is None:
        return looks
    site, plan = target.site, target.plan
    switch, nova = ("ovsdb", "ovs-vswitchd"), ("mariadb", "keystone-api", "nova-api")
    return [
        Look("host", "hugepages", (), lambda: host.hugepage_parts(target.facts, plan)),
        *looks,
        Look("dataplane", "PMD threads", switch, lambda: host.switch_parts(machine, instance, plan)),
        Look("dataplane", "bridges", ("ovsdb",), lambda: host.bridge_parts(machine, instance, site, journal)),
        Look("dataplane", "ports", ("ovn-db", *switch), lambda: host.port_parts(machine, instance, site)),
        Look("servers", "servers", nova, lambda: cloud.nova_parts(settings, site)),
        Look("servers", "guests", ("libvirtd",), lambda: cloud.guest_parts(machine, settings, plan)),
    ]
