"""Services as text for supervisor (https://supervisord.org/configuration.html)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ouchi.core.errors import Failed, Finding, error
from ouchi.core.instance import Instance
from ouchi.parts.supervise import Service, environment_of


def daemon_text(instance: Instance, *, socket: str, log: str, pid: str) -> str:
    """The settings of supervisord itself."""
    return f"""[supervisord]
identifier = {instance.name}
user = root
directory = /
umask = 027
nocleanup = true
pidfile = {_escaped(pid)}
logfile = {_escaped(log)}
logfile_maxbytes = 1MB
logfile_backups = 1

[unix_http_server]
file = {_escaped(socket)}
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = *.ini
"""


def program_text(service: Service, instance: Instance) -> str:
    """The definition of one service. Raises :class:`Failed` when supervisor cannot carry its environment."""
    group = "true" if service.group else "false"
    # The path of a log is expanded twice.
    return f"""[program:{service.name}]
command = {_escaped(shlex.join(service.argv))}
environment = {_escaped(_environment(service, instance))}
user = {service.user}
directory = /
umask = {service.umask:03o}
autostart = false
autorestart = true
startsecs = 1
startretries = 1000000
stopsignal = TERM
stopwaitsecs = {service.stop_seconds}
stopasgroup = {group}
killasgroup = {group}
redirect_stderr = true
stdout_logfile = {_escaped(_escaped(f"{instance.logs}/{service.name}.log"))}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""


def program_texts(services: Sequence[Service], instance: Instance) -> dict[str, str]:
    """The definitions by name. Raises :class:`Failed` with every value that supervisor cannot carry."""
    findings: list[Finding] = []
    texts: dict[str, str] = {}
    for service in services:
        try:
            texts[service.name] = program_text(service, instance)
        except Failed as failure:
            findings += failure.findings
    if findings:
        raise Failed(findings)
    return texts


def _environment(service: Service, instance: Instance) -> str:
    """``NAME="value"``, separated by commas: supervisor knows no escape for quotes, and strips them at both ends."""
    pairs = environment_of(service, instance)
    bad = [name for name, value in pairs.items() if value != value.strip("'\"") or {"'", '"'} <= set(value)]
    if bad:
        where = f"service {service.name!r}"
        claim = "supervisor cannot pass on a value with both kinds of quotes, or with one at its end"
        raise Failed(error(claim, where=f"{where}, {name}") for name in bad)
    return ",".join(f"{k}='{v}'" if '"' in v else f'{k}="{v}"' for k, v in sorted(pairs.items()))


def _escaped(text: str) -> str:
    """Text as a value in supervisor's files, where ``%`` begins a name and a blank with ``;`` or ``#`` a comment.

    A name shortened to no characters stands where two characters must not meet: quotes would not keep them apart.
    """
    nothing = "%(here).0s"
    text = re.sub(r"%(\(?)", lambda match: f"%%{nothing}(" if match[1] else "%%", text)
    return re.sub(r"(\s)(?=[;#])", rf"\1{nothing}", text)
