"""supervisor's own reader understands our definitions; its log is understood by us."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import UnhosedConfigParser, expand

from ouchi.core.errors import Failed
from ouchi.core.instance import Instance
from ouchi.machine.processes import parse_environ
from ouchi.parts.supervise import Service
from ouchi.parts.supervise.ini import program_text, program_texts
from ouchi.parts.supervise.supervisord import History, histories

TRICKY = st.text(
    st.one_of(
        st.sampled_from(" \t;#%()'\"\\$,=[]heres"),
        st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]),
    )
)


def read_by_supervisor(text: str) -> tuple[list[str], dict[str, str]]:
    """The argument vector and environment that supervisor takes from a definition (as in ServerOptions)."""
    parser = UnhosedConfigParser()
    parser.read_string(text)
    parser.expand_here("/the/folder")
    expansions = {"here": "/the/folder"}
    environment = expand(parser.get("program:x", "environment"), expansions, "environment")
    command = parser.saneget("program:x", "command", expansions=expansions)
    return shlex.split(command), dict_of_key_value_pairs(environment)


@given(st.lists(TRICKY), st.dictionaries(st.sampled_from("ABCD"), TRICKY))
def test_everything_arrives_or_is_refused(arguments: list[str], environment: dict[str, str]) -> None:
    service = Service("x", ("/bin/true", *arguments), environment)
    impossible = any(v != v.strip("'\"") or ("'" in v and '"' in v) for v in environment.values())
    if impossible:
        with pytest.raises(Failed):
            program_text(service, Instance())
        return
    argv, variables = read_by_supervisor(program_text(service, Instance()))
    assert argv == ["/bin/true", *arguments]
    assert {name: variables[name] for name in environment} == environment
    assert variables["OUCHI_INSTANCE"] == "ouchi"
    assert variables["OUCHI_SERVICE"] == "x"


def test_all_refusals_come_together_and_show_no_values() -> None:
    services = [
        Service("x", ("/bin/true",), {"A": "'secret", "B": "fine"}),
        Service("y", ("/bin/true",), {"C": "s'e\"c"}),
    ]
    with pytest.raises(Failed) as failure:
        program_texts(services, Instance())
    assert [finding.where for finding in failure.value.findings] == ["service 'x', A", "service 'y', C"]
    assert "secret" not in str(failure.value)


def test_a_log_tells_restarts_and_the_last_exit() -> None:
    # Recorded from supervisor 4.3, shortened.
    assert histories(LOG) == {
        "keystone": History(starts=3, exit="exit status 1"),
        "nova-api": History(starts=1),
        "ovn-northd": History(starts=2, exit="terminated by SIGKILL"),
    }
    assert histories("") == {}


LOG = """\
2026-05-04 10:00:00,000 INFO supervisord started with pid 100
2026-05-04 10:00:01,000 INFO spawned: 'keystone' with pid 101
2026-05-04 10:30:00,000 INFO supervisord started with pid 200
2026-05-04 10:30:01,100 INFO spawned: 'keystone' with pid 201
2026-05-04 10:30:01,200 INFO spawned: 'nova-api' with pid 202
2026-05-04 10:30:01,300 INFO spawned: 'ovn-northd' with pid 203
2026-05-04 10:30:01,900 WARN exited: keystone (exit status 1; not expected)
2026-05-04 10:30:02,400 INFO success: nova-api entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)
2026-05-04 10:30:02,950 INFO spawned: 'keystone' with pid 204
2026-05-04 10:30:03,100 WARN exited: keystone (exit status 1; not expected)
2026-05-04 10:30:05,200 INFO spawned: 'keystone' with pid 205
2026-05-04 10:31:00,000 WARN exited: nova-api (terminated by SIGSEGV (core dumped); not expected)
2026-05-04 10:31:01,000 INFO spawned: 'nova-api' with pid 206
2026-05-04 10:32:00,000 INFO waiting for nova-api to stop
2026-05-04 10:32:00,500 WARN stopped: nova-api (terminated by SIGTERM)
2026-05-04 10:32:00,600 INFO spawned: 'nova-api' with pid 207
2026-05-04 10:33:00,000 WARN exited: ovn-northd (terminated by SIGKILL; not expected)
2026-05-04 10:33:01,000 INFO spawned: 'ovn-northd' with pid 208
"""


def test_an_environment_is_read_as_getenv_would() -> None:
    data = b"A=1\0B=x=y\0\0no equals\0A=2\0C=\xff\n"
    assert parse_environ(data) == {"A": "1", "B": "x=y", "C": "\udcff\n"}
    assert parse_environ(b"") == {}
