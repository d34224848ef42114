"""Proof from live state: what threads, memory, switch and packets do, not what was configured."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ouchi.checks import dataplane, guests, traffic
from ouchi.checks.check import Check
from ouchi.clients.openstack import Cloud
from ouchi.core.errors import Unhealthy
from ouchi.core.events import Say
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.plan import Plan
from ouchi.site import Site

__all__ = ["Check", "Verdict", "verify"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every check, the measurements, and whether they were made in this run."""

    checks: tuple[Check, ...]
    measurements: tuple[traffic.Measurement, ...]
    labels: tuple[str, ...]
    fresh: bool

    def outcome(self) -> Outcome:
        """The stage's outcome. Raises :class:`~ouchi.core.errors.Unhealthy` with every check that failed."""
        failed = [check.finding() for check in self.checks if not check.ok]
        if failed:
            raise Unhealthy(failed)
        text = f"{len(self.checks)} checks hold"
        if self.fresh:
            return changed(text + "; traffic measured")
        return nothing(text + "; traffic was measured before and nothing has changed since")

    def to_json(self) -> dict[str, Any]:
        """Checks, measurements and labels as plain JSON."""
        return {
            "checks": [check.to_json() for check in self.checks],
            "measurements": [measurement.to_json() for measurement in self.measurements],
            "labels": list(self.labels),
        }


def verify(
    machine: Machine, instance: Instance, site: Site, plan: Plan, cloud: Cloud, say: Say, *, emulated: bool
) -> Verdict:
    """Check servers, threads, memory, switch and reachability; measure when something has changed since the last time."""
    labels = labels_of(plan, emulated=emulated)
    paths = traffic.paths(site)
    say("servers, threads, memory and ping")
    # The pings mostly wait, so they go on beside the rest.
    with ThreadPoolExecutor(max_workers=1) as beside:
        pings = beside.submit(traffic.check_pings, machine, instance, paths)
        domains = guests.read_domains(machine, instance)
        checks = [
            *guests.check_servers(site, plan, cloud),
            *guests.check_guests(machine, plan, domains),
            *dataplane.check_switch(machine, instance, plan),
        ]
        checks += pings.result()
    # Links go up and flows appear with the first packets.
    checks += dataplane.check_ports(machine, instance, site, cloud)
    checks += dataplane.check_vlans(machine, instance, site, paths)
    key = ":".join([str(dataplane.switch_pid(machine, instance)), *(str(domain.pid) for domain in domains)])
    known = _read(machine, f"{instance.run}/verified.json")
    if known.get("key") == key:
        return Verdict(tuple(checks), tuple(map(traffic.Measurement.from_json, known["measurements"])), labels, False)
    measured: tuple[traffic.Measurement, ...] = ()
    if all(check.ok for check in checks):
        measured = tuple(traffic.measure(machine, instance, path, say) for path in paths[:1])
        kept = {"key": key, "measurements": [measurement.to_json() for measurement in measured]}
        machine.write(f"{instance.run}/verified.json", json.dumps(kept))
    return Verdict(tuple(checks), measured, labels, True)


def labels_of(plan: Plan, *, emulated: bool) -> tuple[str, ...]:
    """What must stand beside every figure."""
    labels = []
    if plan.overlapped:
        labels.append("overlapped: figures are not meaningful as performance")
    if emulated:
        labels.append("emulated guests (TCG): figures are not meaningful as performance")
    return tuple(labels)


def _read(machine: Machine, path: str) -> dict[str, Any]:
    try:
        found = json.loads(machine.read(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
