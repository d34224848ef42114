"""systemd, where it is PID 1.

Units are written to ``/run/systemd/system``: nothing under ``/etc`` changes, and after a reboot they are gone
with everything they started, until ``ouchi up`` starts all of it again. What a service is given in its
environment may be secret, so it stands in a file that only root can read, not in the unit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from ouchi.core.errors import Failed, error
from ouchi.core.instance import Instance
from ouchi.machine import Machine, processes
from ouchi.parts.supervise import Service, ServiceState, ServiceStatus, check, environment_of

UNITS = "/run/systemd/system"
"""Where units live until the next boot."""

ORPHAN_SECONDS = 10.0
"""How long processes that left their unit may take to end by themselves after SIGTERM."""

PROPERTIES = ("Id", "MainPID", "ActiveState", "SubState", "NRestarts", "ExecMainStartTimestampMonotonic", "Result")
"""What ``systemctl show`` is asked for."""


class SystemdSupervisor:
    """Services as transient units of the machine's own systemd."""

    kind = "systemd"

    def __init__(self, machine: Machine, instance: Instance) -> None:
        self.machine = machine
        self.instance = instance
        self.folder = f"{instance.run}/systemd"

    def start(self, services: Sequence[Service]) -> list[str]:
        """See :class:`ouchi.parts.supervise.Supervisor`. Raises :class:`Failed` for definitions that cannot run."""
        check(self.machine, services)
        states = self.states()
        changed = [service for service in services if not self.defines(service)]
        todo = [
            service.name
            for service in services
            if service in changed or states[service.name].status not in (ServiceStatus.RUNNING, ServiceStatus.STARTING)
        ]
        if not todo:
            return []
        # Stopped before it is written: killed in between, the next run finds it stopped and resumes.
        self.stop([service.name for service in changed if service.name in states])
        self._write(changed)
        self._systemctl("daemon-reload")
        self._systemctl("restart", "--no-block", *map(self._unit, todo))
        return todo

    def defines(self, service: Service) -> bool:
        """See :class:`ouchi.parts.supervise.Supervisor`."""
        texts = self._texts(service)
        return all(self.machine.exists(path) and self.machine.read(path) == text for path, text in texts.items())

    def restart(self, name: str) -> None:
        """Stop and start one service. Raises :class:`Failed` when there is none of this name."""
        if name not in self._names():
            raise Failed.of("there is no such service to restart", where=f"service {name!r}")
        self._systemctl("restart", self._unit(name))

    def stop(self, names: Sequence[str]) -> None:
        """Stop services in parallel."""
        if ours := [self._unit(name) for name in names if name in self._names()]:
            self._systemctl("stop", *ours)
            # One that had to be killed counts as failed, but it was to be stopped.
            self._systemctl("reset-failed", *ours, check=False)

    def shutdown(self) -> None:
        """Stop all services, end what is left of them, forget the definitions."""
        names = self._names()
        self.stop(names)
        left = processes.end(self.instance.name, polite_seconds=ORPHAN_SECONDS)
        if left:
            raise Failed(error("a process cannot be ended", where=f"service {p.service}", found=str(p)) for p in left)
        for name in names:
            self.machine.remove(f"{UNITS}/{self._unit(name)}")
        self.machine.remove(self.folder)
        if names:
            self._systemctl("stop", f"{self.instance.name}.slice")  # it would stay, empty
            self._systemctl("daemon-reload")

    def states(self) -> dict[str, ServiceState]:
        """Every service of ours by name."""
        names = self._names()
        if not names:
            return {}
        shown = self._systemctl("show", f"--property={','.join(PROPERTIES)}", *map(self._unit, names))
        found = parse_show(shown, time.monotonic())  # both are CLOCK_MONOTONIC
        return {name: _named(found[self._unit(name)], name) for name in names if self._unit(name) in found}

    def log(self, name: str) -> str:
        """The path of a service's log file."""
        return f"{self.instance.logs}/{name}.log"

    def _unit(self, name: str) -> str:
        return f"{self.instance.name}-{name}.service"

    def _names(self) -> list[str]:
        """The services that have a unit of ours: each has its environment file."""
        return [file.removesuffix(".env") for file in self.machine.entries(self.folder) if file.endswith(".env")]

    def _texts(self, service: Service) -> dict[str, str]:
        """The files of a service by path, the unit last: with it the definition is whole."""
        return {
            f"{self.folder}/{service.name}.env": environment_text(service, self.instance),
            f"{UNITS}/{self._unit(service.name)}": unit_text(service, self.instance),
        }

    def _write(self, services: Sequence[Service]) -> None:
        for folder, mode in ((self.folder, 0o700), (self.instance.logs, 0o750)):
            self.machine.make_folder(folder, mode=mode)
        for service in services:
            if not self.machine.exists(self.log(service.name)):  # systemd would let everybody read it
                self.machine.write(self.log(service.name), "", mode=0o640)
            for path, text in self._texts(service).items():
                self.machine.write(path, text, mode=0o600 if path.endswith(".env") else 0o644)

    def _systemctl(self, *arguments: str, check: bool = True) -> str:
        # Units stop side by side, each within its own TimeoutStopSec: the bound is for a systemd that hangs.
        return self.machine.run(["systemctl", "--no-pager", *arguments], timeout=180, check=check).stdout


def unit_text(service: Service, instance: Instance) -> str:
    """The unit of one service (systemd.unit(5), systemd.service(5), systemd.exec(5)).

    ``:`` before the program keeps ``$`` in its arguments as it is. Locked memory is not limited because DPDK maps
    hugepages for devices. ``StartLimitIntervalSec=0``: a service whose needs come up late is tried for ever.
    """
    log = f"{instance.logs}/{service.name}.log".replace("%", "%%")
    environment = f"{instance.run}/systemd/{service.name}.env".replace("%", "%%")
    return f"""[Unit]
Description=ouchi {instance.name}: {service.name}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=:{" ".join(map(_quoted, service.argv))}
EnvironmentFile={environment}
User={service.user}
Restart=always
RestartSec=1
KillMode={"control-group" if service.group else "process"}
TimeoutStopSec={service.stop_seconds}
StandardOutput=append:{log}
StandardError=inherit
Slice={instance.name}.slice
UMask={service.umask:04o}
LimitMEMLOCK=infinity
LimitNOFILE=65536
"""


def environment_text(service: Service, instance: Instance) -> str:
    """The environment of one service as an ``EnvironmentFile`` (systemd.exec(5))."""
    pairs = sorted(environment_of(service, instance).items())
    return "".join('{}="{}"\n'.format(name, re.sub(r'(["\\`$])', r"\\\1", value)) for name, value in pairs)


def parse_show(text: str, now: float) -> dict[str, ServiceState]:
    """The states by unit name in the output of ``systemctl show``; ``now`` is CLOCK_MONOTONIC in seconds."""
    states: dict[str, ServiceState] = {}
    for block in text.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if unit := values.get("Id"):
            pid = int(values.get("MainPID") or 0)
            started = int(values.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
            words = [values.get("SubState", "")]
            if values.get("Result", "success") != "success":
                words.append(f"last exit: {values['Result']}")
            states[unit] = ServiceState(
                name=unit,
                status=_status(values),
                pid=pid,
                uptime=max(now - started, 0.0) if pid else 0.0,
                restarts=int(values.get("NRestarts") or 0),
                detail="; ".join(filter(None, words)),
            )
    return states


def _status(values: Mapping[str, str]) -> ServiceStatus:
    match values.get("ActiveState"):
        case "active" | "reloading":
            return ServiceStatus.RUNNING
        case "activating":  # auto-restart is one of its sub-states
            return ServiceStatus.STARTING
        case "failed":
            return ServiceStatus.FAILED
        case _:
            return ServiceStatus.STOPPED


def _named(state: ServiceState, name: str) -> ServiceState:
    return ServiceState(name, state.status, state.pid, state.uptime, state.restarts, state.detail)


def _quoted(word: str) -> str:
    """One argument of ``ExecStart``, in quotes in which only a backslash, a quote and ``%`` mean anything."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + re.sub(r"[\x01-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", word) + '"'
