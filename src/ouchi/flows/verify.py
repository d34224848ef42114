"""The end of ``up``: check threads, memory, Open vSwitch and servers from live state, then measure traffic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ouchi.checks import traffic
from ouchi.checks.model import LEVELS, CheckResult
from ouchi.checks.registry import evaluate
from ouchi.checks.servers import check_servers
from ouchi.checks.verdict import Verdict, failures, labels_of
from ouchi.checks.wire import judge_hops, own_wire
from ouchi.clients import ovs
from ouchi.clients.openstack import Cloud
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.live import wire
from ouchi.live.host import MACHINE, SWITCH, Live, parse_live, run_scripts
from ouchi.machine import Machine
from ouchi.plan.target import Target


def verify(
    machine: Machine, instance: Instance, target: Target, cloud: Cloud, notify: Notify, *, emulated: bool
) -> Verdict:
    """Evaluate the checks of a host that is up; measure when something has changed since the last measurement."""
    labels = labels_of(target.plan, emulated=emulated)
    routes = traffic.routes(target.site)
    notify("servers, threads, memory and ping")
    spaces = traffic.spaces(instance, target.site)
    before = wire.read_steady(machine, instance, spaces)
    checks, live = _evaluate(machine, instance, target, cloud, routes)
    key = ":".join(map(str, (live.switch.pid, *sorted(guest.pid for guest in live.guests if guest.ours))))
    path, known = f"{instance.run}/verified.json", dict[str, Any]()
    with suppress(OSError, ValueError):
        known = json.loads(machine.read(path))
    if known.get("key") == key:
        measurements = tuple(traffic.Measurement(**one) for one in known["measurements"])
        hops = _carried(machine, instance, spaces, before)
        return Verdict((*checks, *_own_wire(hops)), measurements, labels, False, hops)
    measured: tuple[traffic.Measurement, ...] = ()
    if not failures(checks):
        measured = tuple(traffic.measure(machine, instance, route, notify) for route in routes[:1])
    hops = _carried(machine, instance, spaces, before)
    checks += _own_wire(hops)
    # What was measured through a lossy wire is measured again by the next run.
    if not failures(checks) and not any(hop.own and hop.lost for hop in hops):
        kept = {"key": key, "measurements": [asdict(measurement) for measurement in measured]}
        machine.write(path, json.dumps(kept))
    return Verdict(checks, measured, labels, True, hops)


def _carried(machine: Machine, instance: Instance, spaces: Sequence[str], before: wire.Reading) -> tuple[wire.Hop, ...]:
    """What each hop carried since ``before``, kept for ``doctor``."""
    hops = wire.hops(before, wire.read_steady(machine, instance, spaces), spaces)
    own = [asdict(hop) for hop in hops if hop.own]
    machine.write(f"{instance.ovs}/wire.json", f"{json.dumps(own)}\n")
    return hops


def _own_wire(hops: Sequence[wire.Hop]) -> tuple[CheckResult, ...]:
    """The check of the endpoints' own wire; none where the site asks for no endpoint."""
    return (own_wire.result(judge_hops(hops)),) if any(hop.own for hop in hops) else ()


def _evaluate(
    machine: Machine, instance: Instance, target: Target, cloud: Cloud, routes: Sequence[traffic.Route]
) -> tuple[tuple[CheckResult, ...], Live]:
    """Evaluate the checks of live state, of OpenStack's answers and of packets."""
    # The pings mostly wait, so the rest is read meanwhile.
    with ThreadPoolExecutor(max_workers=2) as pool:
        pings = pool.submit(traffic.ping.evaluate, machine, instance, routes)
        texts = pool.submit(run_scripts, machine, instance, (MACHINE,))
        servers = check_servers(target, cloud.rows("nova", "servers/detail"), cloud.rows("neutron", "ports"))
    # Rx queues are enabled by guests that have booted, and flows appear with the first packets.
    live = parse_live(texts.result() | run_scripts(machine, instance, (SWITCH,)), instance)
    flows = ovs.appctl(machine, instance, "dpctl/dump-flows", "netdev@ovs-netdev").stdout
    checks = (
        *evaluate(live, target, LEVELS),
        *servers,
        traffic.ping.result(pings.result()),
        traffic.vlans.result(traffic.vlans.evaluate(target.site, routes, flows)),
    )
    return checks, live
