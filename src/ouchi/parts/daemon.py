"""A part that is one or more supervised programs, with their configuration files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, unknown
from ouchi.parts.supervise import CONFIGURATION, Service, ServiceState, ServiceStatus, digest

NOT_STARTED = "not started"
"""The state of a part whose programs its supervisor does not know."""

UNSUPERVISED = "unsupervised"
"""The state of a part whose programs run, but nothing restarts them."""


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file: its text, permission bits and owner; ``folder`` are the bits of the folder it is in."""

    text: str
    mode: int = 0o600
    owner: str | None = None
    folder: int = 0o711


class Daemon(Part):
    """A part with services: configuration is written, services are started and waited for, then :meth:`finish` runs."""

    def files(self, at: Context) -> Mapping[str, File]:
        """Configuration files by name below the instance's ``etc``, or by absolute path. Pure: reads at most ``at``."""
        return {}

    def services(self, at: Context) -> Sequence[Service]:
        """The programs; a changed definition restarts them."""
        raise NotImplementedError

    def prepared(self, at: Context) -> str:
        """Return what :meth:`prepare` would do; empty if nothing."""
        return ""

    def prepare(self, at: Context, notify: Notify) -> str:
        """Create what the services need before they start, such as data folders; return what was created."""
        return ""

    def wait(self, at: Context, *, started: bool) -> None:
        """Wait until the programs answer; ``started``: one of them was started just now."""

    def finished(self, at: Context) -> str:
        """Return what :meth:`finish` would do once the services run; empty if nothing."""
        return ""

    def finish(self, at: Context, notify: Notify) -> str:
        """Set up what needs the running services; return what was set up."""
        return ""

    def look(self, at: Context) -> PartState:
        states = tuple(at.states.get(name, ServiceState(name, ServiceStatus.ABSENT)) for name in self.service_names)
        try:
            to_do = [self.prepared(at), *self._differences(at)]
            if all(state.status in (ServiceStatus.RUNNING, ServiceStatus.STARTING) for state in states):
                to_do.append(self.finished(at))
        except KeyError:  # a password is not made yet
            to_do = [f"start {', '.join(self.service_names)}"]
        except PermissionError as reason:
            return unknown(f"only root may read {reason.filename}")
        if texts := list(dict.fromkeys(filter(None, to_do))):
            return replace(
                missing("; ".join(texts), found_of(states, at.running), state_of(states, at.running)), services=states
            )
        return PartState(True, "running", found_of(states, at.running), services=states)

    def make(self, at: Context, notify: Notify) -> Outcome:
        done = [self.prepare(at, notify)]
        written = [write(at, name, file) for name, file in self.files(at).items()]
        started = at.supervisor.start(self.services(at))
        done += [f"started {', '.join(started)}" if started else "wrote its configuration" if any(written) else ""]
        self.wait(at, started=bool(started))
        done.append(self.finish(at, notify))
        texts = list(filter(None, done))
        return changed("; ".join(texts)) if texts else nothing(f"running: {', '.join(self.service_names)}")

    def remove(self, at: Context) -> Outcome:
        running = at.running.intersection(self.service_names)
        at.supervisor.stop(self.service_names)
        return changed(f"stopped {', '.join(sorted(running))}") if running else nothing("not running")

    def fingerprint(self, at: Context, *more: object) -> Mapping[str, str]:
        """The environment variable by which changed configuration files, or ``more``, restart a program."""
        return {CONFIGURATION: digest((sorted((name, file.text) for name, file in self.files(at).items()), *more))}

    def _differences(self, at: Context) -> list[str]:
        changed_files = any(differs(at, name, file) for name, file in self.files(at).items())
        todo = [service.name for service in self.services(at) if not _runs(at, service)]
        return [f"start {', '.join(todo)}"] if todo else ["write its configuration"] if changed_files else []


def differs(at: Context, name: str, file: File) -> bool:
    """True when a configuration file is not there or has another text."""
    path = at.path(name)
    return not at.machine.exists(path) or at.machine.read(path) != file.text


def write(at: Context, name: str, file: File) -> bool:
    """Write a configuration file, and make the folder that it is in; True when its text is new."""
    path, new = at.path(name), differs(at, name, file)
    at.machine.make_folder(path.rsplit("/", 1)[0], mode=file.folder, owner=file.owner)
    if new or at.machine.mode(path) != file.mode:
        at.machine.write(path, file.text, mode=file.mode, owner=file.owner)
    return new


def _runs(at: Context, service: Service) -> bool:
    state = at.states.get(service.name)
    up = state is not None and state.status in (ServiceStatus.RUNNING, ServiceStatus.STARTING)
    return up and at.supervisor.defines(service)


def state_of(states: Sequence[ServiceState], running: frozenset[str]) -> str:
    """One word or two for a group of programs: the worst of theirs."""
    absent = [state for state in states if state.status is ServiceStatus.ABSENT]
    if absent and all(state.name in running for state in absent):
        return UNSUPERVISED
    for status in (ServiceStatus.FAILED, ServiceStatus.ABSENT, ServiceStatus.STOPPED, ServiceStatus.STARTING):
        if any(state.status is status for state in states):
            return NOT_STARTED if status is ServiceStatus.ABSENT else str(status)
    return str(ServiceStatus.RUNNING)


def found_of(states: Sequence[ServiceState], running: frozenset[str]) -> str:
    """The programs with process, uptime and restarts; names where there are several."""
    return ", ".join(_found(state, running, named=len(states) > 1) for state in states)


def _found(state: ServiceState, running: frozenset[str], *, named: bool) -> str:
    if state.pid:
        text = f"pid {state.pid}, up {duration(state.uptime)}"
    elif state.status is ServiceStatus.ABSENT:
        text = "running without its supervisor" if state.name in running else "no process"
    else:
        text = state.detail or str(state.status)
    if state.restarts:
        _, _, reason = state.detail.partition("; ")
        times = "once" if state.restarts == 1 else f"{state.restarts} times"
        text += f", restarted {times}" + (f" ({reason})" if reason else "")
    return f"{state.name}: {text}" if named else text


def duration(seconds: float) -> str:
    """``12 s``, ``3 min``, ``2 h 5 min``, ``4 d 3 h``."""
    minutes = int(seconds) // 60
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
