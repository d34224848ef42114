"""Units as text, checked by systemd's own reader, and what systemctl says of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ouchi.core.instance import Instance
from ouchi.parts.supervise import Service, ServiceState, ServiceStatus
from ouchi.parts.supervise.systemd import environment_text, parse_show, unit_text

NASTY = Service(
    "nova-compute",
    ("/bin/sleep", "two words", "%i", "$HOME", "${HOME}", 'a "quote"', "it's", "back\\slash", ";", "\t", "", "#", "お"),
    {"PASSWORD": "a$b`c\"d\\e'f # ; %n", "EMPTY": ""},
    stop_seconds=7,
)


def test_an_argument_means_itself() -> None:
    assert (
        'ExecStart=:"/bin/sleep" "two words" "%%i" "$HOME" "${HOME}" "a \\"quote\\"" "it\'s" "back\\\\slash" ";" '
        '"\\x09" "" "#" "お"\n'
    ) in unit_text(NASTY, Instance())


def test_the_environment_stands_in_its_file_only() -> None:
    assert environment_text(NASTY, Instance()) == (
        'EMPTY=""\n'
        'LANG="C.UTF-8"\n'
        'OUCHI_INSTANCE="ouchi"\n'
        'OUCHI_SERVICE="nova-compute"\n'
        'PASSWORD="a\\$b\\`c\\"d\\\\e\'f # ; %n"\n'
        'PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"\n'
    )
    text = unit_text(NASTY, Instance(run="/run/100%"))
    assert "PASSWORD" not in text
    assert "EnvironmentFile=/run/100%%/systemd/nova-compute.env\n" in text


def test_a_group_is_a_control_group() -> None:
    assert "KillMode=control-group\nTimeoutStopSec=7\n" in unit_text(NASTY, Instance())
    assert "KillMode=process\n" in unit_text(replace(NASTY, group=False), Instance())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze comes with systemd")
@pytest.mark.parametrize("group", [True, False])
def test_systemd_finds_no_fault_with_a_unit(group: bool, tmp_path: Path) -> None:
    def verify(text: str) -> str:
        path = tmp_path / "ouchi-nova-compute.service"
        path.write_text(text)
        environment = {"PATH": os.environ["PATH"], "SYSTEMD_LOG_TARGET": "console"}
        command = ["systemd-analyze", "verify", "--man=no", "--generators=no", "--recursive-errors=no", str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stderr + (f"status {done.returncode}" if done.returncode else "")

    text = unit_text(replace(NASTY, group=group), Instance())
    assert "ouchi-nova-compute" not in verify(text)
    assert "Restrat" in verify(text.replace("Restart=", "Restrat=")), "it does look"


SHOWN = """\
Restart=always
MainPID=4711
NRestarts=2
ExecMainStartTimestampMonotonic=1500000000
Result=success
Id=ouchi-keystone.service
ActiveState=active
SubState=running

MainPID=0
NRestarts=17
ExecMainStartTimestampMonotonic=1999000000
Result=exit-code
Id=ouchi-nova-api.service
ActiveState=activating
SubState=auto-restart

MainPID=0
NRestarts=0
ExecMainStartTimestampMonotonic=0
Result=success
Id=ouchi-ovsdb.service
ActiveState=inactive
SubState=dead

MainPID=0
NRestarts=0
ExecMainStartTimestampMonotonic=1
Result=timeout
Id=ouchi-mariadb.service
ActiveState=failed
SubState=failed
"""


def test_what_systemctl_shows_becomes_states() -> None:
    assert list(parse_show(SHOWN, now=2000.0).values()) == [
        ServiceState("ouchi-keystone.service", ServiceStatus.RUNNING, 4711, 500.0, 2, "running"),
        ServiceState(
            "ouchi-nova-api.service", ServiceStatus.STARTING, 0, 0.0, 17, "auto-restart; last exit: exit-code"
        ),
        ServiceState("ouchi-ovsdb.service", ServiceStatus.STOPPED, 0, 0.0, 0, "dead"),
        ServiceState("ouchi-mariadb.service", ServiceStatus.FAILED, 0, 0.0, 0, "failed; last exit: timeout"),
    ]
    assert parse_show("", now=1.0) == {}
