"""supervisor, from ouchi's own Python environment, where systemd is not PID 1.

One supervisord runs per instance, in a session of its own and with a plain environment. Each service is one
file ``<state>/supervisor/<name>.ini``; what has to change is what supervisord itself says has changed after
reading them, so a run that was killed half way is simply continued by the next.

A supervisord that was killed leaves its services behind, holding their ports and files. They carry the marks
of :mod:`ouchi.machine.processes`, by which the next :meth:`start` ends them first.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ouchi.core.errors import Failed, Finding, error
from ouchi.core.instance import Instance
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine, processes
from ouchi.parts.supervise import Service, ServiceState, ServiceStatus, check, environment_of
from ouchi.parts.supervise.ini import daemon_text, program_text, program_texts

DAEMON = "supervisord"
"""The service mark of supervisord itself."""

ANSWER_SECONDS = 10.0
"""How long supervisord may take to answer after its start, and to go after its end."""

HANG_SECONDS = 20.0
"""How long a supervisord that runs may keep silent before it is taken for hanging."""

ORPHAN_SECONDS = 10.0
"""How long processes without a supervisor may take to end by themselves after SIGTERM."""

STATUSES = {
    "STARTING": ServiceStatus.STARTING,
    "RUNNING": ServiceStatus.RUNNING,
    "BACKOFF": ServiceStatus.STARTING,
    "STOPPING": ServiceStatus.STOPPED,
    "STOPPED": ServiceStatus.STOPPED,
    "EXITED": ServiceStatus.STARTING,
    "FATAL": ServiceStatus.FAILED,
    "UNKNOWN": ServiceStatus.FAILED,
}
"""supervisord's process states; what has exited is always started again."""

ACTIVE = ("STARTING", "RUNNING")
"""The states of supervisor in which a process runs."""

# https://supervisord.org/api.html: the faults of supervisor.xmlrpc.Faults that are no news.
ALREADY_STARTED, SPAWN_ERROR = 60, 50


class SupervisordSupervisor:
    """Services under the instance's own supervisord."""

    kind = "supervisor"

    def __init__(self, machine: Machine, instance: Instance) -> None:
        self.machine = machine
        self.instance = instance
        self.folder = f"{instance.state}/supervisor"
        self.socket = f"{instance.run}/supervisor.sock"
        self._starting = threading.Lock()

    def start(self, services: Sequence[Service]) -> list[str]:
        """See :class:`ouchi.parts.supervise.Supervisor`. Raises :class:`Failed` for definitions that cannot run."""
        check(self.machine, services)
        texts = program_texts(services, self.instance)
        if not texts:
            return []
        self._be_running()
        before = self._configurations()
        self._write(texts)
        added, changed, _ = self._call("reloadConfig")[0]
        infos = self._infos()
        todo = [name for name in texts if name in {*added, *changed} or infos[name]["statename"] not in ACTIVE]
        self._halt([name for name in todo if name in infos], before)
        for name in todo:
            if name in changed:
                self._call("removeProcessGroup", name)
            if name in {*added, *changed}:
                self._call("addProcessGroup", name)
        self._launch(todo)
        return todo

    def defines(self, service: Service) -> bool:
        """See :class:`ouchi.parts.supervise.Supervisor`."""
        path = f"{self.folder}/{service.name}.ini"
        return self.machine.exists(path) and self.machine.read(path) == program_text(service, self.instance)

    def restart(self, name: str) -> None:
        """Stop and start one service. Raises :class:`Failed` when there is none of this name."""
        if not self._answers() or name not in self._infos():
            raise Failed.of("there is no such service to restart", where=f"service {name!r}")
        self._halt([name], self._configurations())
        self._launch([name])

    def stop(self, names: Sequence[str]) -> None:
        """Stop services in parallel; without a supervisord, end what is left of them."""
        if self._answers():
            infos = self._infos()
            self._halt([name for name in names if name in infos], self._configurations())
        else:
            processes.end(self.instance.name, names, polite_seconds=ORPHAN_SECONDS)

    def shutdown(self) -> None:
        """Stop all services and supervisord, end what is left of either, forget the definitions."""
        if self._answers():
            self.stop(list(self._infos()))
            self._call("shutdown")
            with contextlib.suppress(Failed):  # what does not go is ended
                wait_for("the end of supervisord", self._see_none, seconds=ANSWER_SECONDS, every=0.05)
        self._end_all()

    def states(self) -> dict[str, ServiceState]:
        """Every service that supervisord knows; empty when it does not run."""
        if not self._answers():
            return {}
        past = histories(self._own_log())
        return {name: _state(info, past.get(name, History())) for name, info in self._infos().items()}

    def log(self, name: str) -> str:
        """The path of a service's log file."""
        return f"{self.instance.logs}/{name}.log"

    # --- supervisord itself

    def _be_running(self) -> None:
        """Find supervisord answering, wait for one that is half started or half stopped, or start it afresh."""
        with self._starting:
            deadline = time.monotonic() + HANG_SECONDS
            while not self._answers():
                if not self._daemons() or time.monotonic() > deadline:
                    self._end_all()
                    self._spawn()
                    return
                time.sleep(0.05)

    def _spawn(self) -> None:
        self.machine.make_folder(self.folder, mode=0o700)
        self.machine.make_folder(self.instance.logs, mode=0o750)
        if not self.machine.exists(self.instance.run):
            self.machine.make_folder(self.instance.run)
        if not self.machine.exists(self.log(DAEMON)):  # supervisord opens its log before it sets its umask
            self.machine.write(self.log(DAEMON), "", mode=0o640)
        settings = f"{self.folder}/supervisord.conf"
        text = daemon_text(
            self.instance, socket=self.socket, log=self.log(DAEMON), pid=f"{self.folder}/supervisord.pid"
        )
        self.machine.write(settings, text, mode=0o600)
        marks = environment_of(Service(DAEMON, ()), self.instance)
        variables = [f"{name}={value}" for name, value in marks.items()]
        program = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", settings]
        # As many files as this machine grants. It returns when supervisord has put itself into the background.
        shell = ["sh", "-c", 'ulimit -S -n "$(ulimit -H -n)"; exec "$@"', "sh"]
        self.machine.run([*shell, "env", "-i", *variables, *program], timeout=30, cwd="/")
        wait_for("supervisord to answer", self._see_answer, seconds=ANSWER_SECONDS, every=0.02, remedy=self.log(DAEMON))

    def _end_all(self) -> None:
        """End a supervisord that does not answer, then the services it left; forget their definitions."""
        processes.end(self.instance.name, [DAEMON], polite_seconds=0)
        left = processes.end(self.instance.name, polite_seconds=ORPHAN_SECONDS)
        if left:
            raise Failed(error("a process cannot be ended", where=f"service {p.service}", found=str(p)) for p in left)
        self.machine.remove(self.socket)
        self.machine.remove(self.folder)

    def _daemons(self) -> list[processes.Process]:
        return [process for process in processes.marked(self.instance.name) if process.service == DAEMON]

    def _answers(self) -> bool:
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def _see_answer(self) -> None:
        if not self._answers():
            raise NotYet(self._own_log()[-300:])

    def _see_none(self) -> None:
        if found := self._daemons():
            raise NotYet(str(found))

    def _own_log(self) -> str:
        text = ""
        for path in (f"{self.log(DAEMON)}.1", self.log(DAEMON)):
            with contextlib.suppress(OSError):
                text += self.machine.read(path)
        return text

    # --- services

    def _write(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            path = f"{self.folder}/{name}.ini"
            if not self.machine.exists(path) or self.machine.read(path) != text:
                self.machine.write(path, text, mode=0o600)

    def _launch(self, names: Iterable[str]) -> None:
        findings: list[Finding] = []
        for name in names:
            try:
                self._call("startProcess", name, False)
            except xmlrpc.client.Fault as fault:
                # What died at once is tried again by supervisord: that is what it is for.
                if fault.faultCode not in (ALREADY_STARTED, SPAWN_ERROR):
                    findings.append(error("cannot be started", where=f"service {name!r}", found=fault.faultString))
        if findings:
            raise Failed(findings)

    def _halt(self, names: Collection[str], configurations: Mapping[str, Any]) -> None:
        """Stop services in parallel and, where the group is to go with it, everything that carries their mark."""
        if not names:
            return
        seconds = max(configurations[name]["stopwaitsecs"] for name in names)

        def ask() -> None:
            # Asked again each time: a service that had just died is being started by supervisord meanwhile.
            infos = self._infos()
            for name in names:
                with contextlib.suppress(xmlrpc.client.Fault):
                    if infos[name]["statename"] in (*ACTIVE, "BACKOFF"):
                        self._call("stopProcess", name, False)
            running = {n: s for n in names if (s := infos[n]["statename"]) not in ("STOPPED", "FATAL", "UNKNOWN")}
            if running:
                raise NotYet(str(running))

        wait_for(f"the end of {', '.join(names)}", ask, seconds=seconds + processes.KILL_SECONDS, every=0.05)
        groups = [name for name in names if configurations[name]["killasgroup"]]
        if groups:
            processes.end(self.instance.name, groups, polite_seconds=seconds)

    def _infos(self) -> dict[str, dict[str, Any]]:
        return {info["name"]: info for info in self._call("getAllProcessInfo")}

    def _configurations(self) -> dict[str, dict[str, Any]]:
        return {configuration["name"]: configuration for configuration in self._call("getAllConfigInfo")}

    def _call(self, method: str, *arguments: object) -> Any:
        """Ask supervisord (https://supervisord.org/api.html). Each call has a connection and so a thread of its own."""
        with xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(self.socket)) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


@dataclass(frozen=True, slots=True)
class History:
    """The number of starts of a service since the last request to start or stop it, and its last unexpected exit."""

    starts: int = 0
    exit: str = ""


def histories(log: str) -> dict[str, History]:
    """Each service's history in the text of supervisord.log, from supervisord's own last start.

    supervisor counts no restarts. As with systemd's ``NRestarts`` a stop that was asked for begins a new count.
    """
    log = log[max(log.rfind(" INFO supervisord started with pid "), 0) :]
    found: dict[str, History] = {}
    for event, name, rest in re.findall(
        r"^\S+ \S+ [A-Z]+ (spawned|exited|stopped): '?([\w.@-]+)'? (.*)$", log, re.MULTILINE
    ):
        past = found.get(name, History())
        if event == "spawned":
            found[name] = History(past.starts + 1, past.exit)
        elif event == "exited":
            found[name] = History(past.starts, rest.strip("()").partition(";")[0])
        else:
            found[name] = History()
    return found


def _state(info: Mapping[str, Any], history: History) -> ServiceState:
    words = [info["statename"].lower(), history.exit and f"last exit: {history.exit}"]
    return ServiceState(
        name=info["name"],
        status=STATUSES[info["statename"]],
        pid=info["pid"],
        uptime=float(max(info["now"] - info["start"], 0)) if info["pid"] else 0.0,
        restarts=max(history.starts - 1, 0),
        detail="; ".join(filter(None, words)),
    )


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket, within a bound: a supervisord that hangs must not hang ouchi."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _host: object) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = ("localhost", connection)
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
