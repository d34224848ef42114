"""The supervised services, against the definitions that ``up`` starts them from."""

from __future__ import annotations

from collections.abc import Mapping

from ouchi.checks.status.values import NOT_STARTED, Part
from ouchi.parts import libvirt, ovn, ovs
from ouchi.parts import mariadb as database
from ouchi.parts import rabbitmq as messaging
from ouchi.parts.openstack.services import api_services, later_services
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import State, Status

DAEMON = "supervisord"


def expected(settings: Settings) -> dict[str, str]:
    """The layer of every service that a host which is up has, by name, in the order of their start."""
    cloud = (
        database.service(settings.instance),
        *messaging.services(settings.instance),
        *ovn.services(settings.instance),
        libvirt.service(settings.instance),
        *api_services(settings).values(),
        *later_services(settings),
    )
    switch = {service.name: "dataplane" for service in ovs.services(settings.instance)}
    return switch | {service.name: "cloud" for service in cloud}


def running(states: Mapping[str, State], processes: Mapping[str, int]) -> frozenset[str]:
    """The services that have a process, be it without a supervisor."""
    return frozenset({name for name, state in states.items() if state.pid} | processes.keys())


def supervisor_part(kind: str, states: Mapping[str, State], processes: Mapping[str, int]) -> Part:
    """The supervisor itself: ``kind`` is ``systemd`` or ``supervisor``."""
    name = "systemd" if kind == "systemd" else DAEMON
    pid = 1 if kind == "systemd" else processes.get(DAEMON, 0)
    if states:
        return Part("host", "supervisor", name, "running", True, f"pid {pid}, {len(states)} services", "running")
    state, found = ("silent", f"pid {pid} does not answer") if pid else ("not running", "no process")
    detail = "services that it left run on, but nothing restarts them" if processes.keys() - {DAEMON} else ""
    return Part("host", "supervisor", name, state, False, found, "running and answering", detail)


def service_parts(layers: Mapping[str, str], states: Mapping[str, State], processes: Mapping[str, int]) -> list[Part]:
    """Every service that should be there, then those that are there as well."""
    names = [*layers, *(name for name in states if name not in layers)]
    return [_part(layers.get(name, "cloud"), name, states.get(name), processes.get(name, 0)) for name in names]


def _part(layer: str, name: str, state: State | None, pid: int) -> Part:
    logs = f"ouchi logs {name}"
    if state is None and pid:
        return Part(layer, "service", name, "unsupervised", False, f"pid {pid}", "running under its supervisor")
    if state is None:
        return Part(layer, "service", name, NOT_STARTED, False, "no process", "running")
    found = f"pid {state.pid}, up {duration(state.uptime)}" if state.pid else state.detail
    ok = state.status is Status.RUNNING
    return Part(layer, "service", name, str(state.status), ok, found, "running", restarts(state), remedy=logs)


def restarts(state: State) -> str:
    """``restarted 2 times: last exit: …``; empty when it never was."""
    if not state.restarts:
        return ""
    _, _, reason = state.detail.partition("; ")
    times = "1 time" if state.restarts == 1 else f"{state.restarts} times"
    return f"restarted {times}" + (f": {reason}" if reason else "")


def duration(seconds: float) -> str:
    """``12 s``, ``3 min``, ``2 h 5 min``, ``4 d 3 h``."""
    minutes = int(seconds) // 60
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
