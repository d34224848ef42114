"""``ouchi schema``: what commands print and read has the form that it prints."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from ouchi.checks.diagnosis import FixEntry
from ouchi.checks.model import CheckResult, Level, Result
from ouchi.checks.traffic import Measurement
from ouchi.checks.verdict import Verdict
from ouchi.cli import main
from ouchi.cli.schema import SCHEMAS, schema_of
from ouchi.core.errors import error, warning
from ouchi.core.events import Event, EventKind
from ouchi.core.instance import Instance
from ouchi.core.plain import to_plain
from ouchi.flows import apply as flows_apply
from ouchi.flows.apply import Apply
from ouchi.flows.doctor import diagnose
from ouchi.flows.hosts import HostResult
from ouchi.flows.several_hosts import Options
from ouchi.flows.site_host import SiteHost
from ouchi.flows.support_bundle import Bundle
from ouchi.flows.undo import Undo
from ouchi.host.step import Step
from ouchi.host.survey import parse
from ouchi.live.wire import Hop
from ouchi.machine.local import LocalMachine
from ouchi.measure.runs.compare import compare_runs
from ouchi.measure.runs.model import Run
from ouchi.parts.host_status import HostStatus, PartLine
from ouchi.parts.part import missing, present, unknown
from ouchi.parts.supervise import ServiceState, ServiceStatus
from ouchi.plan.saved import plan_json
from ouchi.report.preview import preview_json
from ouchi.report.summary import summary_json
from ouchi.site import default_site
from ouchi.steps import Record, engine, file
from ouchi.steps.engine import Difference
from ouchi.steps.journal import Scope, open_journal
from tests import live
from tests.hosts import folder, names
from tests.plans import target_of
from tests.rack import rack

ROOT = Path(__file__).parents[2]


SCHEMAS_OF_RUNS = ("run", "trial", "compare")
OPTIONS = Options(dry_run=True, yes=False, reboot=False)


def mistakes(name: str, document: Any) -> list[str]:
    """What a document has that its schema does not allow; the document as a program reads it."""
    found = _validator(name).iter_errors(json.loads(json.dumps(document)))
    return [f"{one.json_path}: {one.message}" for one in found]


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(name))


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_that_the_command_prints(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ouchi", "schema", name])
    assert main() == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    assert printed == schema_of(name)
    assert printed["title"].startswith("ouchi")
    assert mistakes(name, {"surplus": 1})
    if name not in SCHEMAS_OF_RUNS:  # whose readers ignore what a later version adds
        assert printed["additionalProperties"] is False


@pytest.mark.parametrize("name", names())
def test_plans_and_facts(name: str) -> None:
    target = target_of(name)
    assert mistakes("plan", plan_json(target)) == []
    assert mistakes("facts", target.facts.to_json()) == []


def test_a_plan_with_vfs() -> None:
    assert mistakes("plan", plan_json(rack())) == []
    wrong = plan_json(rack())
    wrong["nics"][0]["vfs"] = 8
    assert [mistake.partition(":")[0] for mistake in mistakes("plan", wrong)] == ["$.nics[0].vfs"]


@pytest.mark.parametrize(("command", "name"), [("plan", "plan"), ("inspect", "facts")])
def test_what_the_commands_print(
    command: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ouchi", command, "--json", "--snapshot", str(folder("vm-8-cpus"))])
    assert main() == 0
    assert mistakes(name, json.loads(capsys.readouterr().out)) == []


@pytest.mark.parametrize(
    "text",
    [
        default_site("home", 4, 8192, "/var/lib/ouchi/site.schema.json"),
        (ROOT / "examples/home.yaml").read_text(),
        (ROOT / "examples/sites.yaml").read_text(),
    ],
    ids=["default", "home", "sites"],
)
def test_site_files(text: str) -> None:
    data = YAML(typ="safe", pure=True).load(text)
    assert mistakes("site", data) == []
    assert mistakes("site", data | {"servers": [{"name": "a", "vcpus": 0, "memory": "1 KiB", "ports": []}]})


def test_the_complete_example_has_every_key() -> None:
    """Except ``hosts``, which sites.yaml is for; keys that exclude another one stand in comments."""

    def keys(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(keys, node))
        if not isinstance(node, dict):
            return set()
        return set(node.get("properties", {})).union(*map(keys, node.values()))

    text = (ROOT / "examples/home.yaml").read_text()
    assert {key for key in keys(schema_of("site")) if not re.search(rf"\b{key}:", text)} == {"hosts"}


def test_up() -> None:
    target = rack()
    states = {("prepare", "packages"): present(), ("host", "pages"): missing("reserve 3"), ("plan", "x"): unknown("no")}
    assert mistakes("up-dry-run", preview_json(target, states, [warning("a", where="b")])) == []
    measured = Measurement("left", 5.0, 1e9, 1e8, 9e7, 64, 1000, 1)
    checks = (CheckResult("ovs.pmd-placement", Level.PLACED, "a", Result.OK, "b"),)
    verdict = Verdict(checks, (measured,), ("emulated",), True, (Hop("ouchi-far0 → ouchi-near0", 5, 4, own=True),))
    times = [{"stage": "a", "task": "b", "kind": EventKind.CHANGED, "text": "", "begin": 0.1, "seconds": 0.2}]
    for verified in (verdict, None):
        assert mistakes("up", summary_json(target, verified, times, 61.234)) == []
    for kind in EventKind:
        assert mistakes("event", asdict(Event(kind, "cloud", "nova", "12 of 20", 1.5, 2.5))) == []


@pytest.mark.parametrize("name", live.names())
def test_doctor_and_status(name: str) -> None:
    given = live.case(name)
    diagnosis = diagnose(given.live, given.target)
    fixes = tuple(
        FixEntry(check.id, problem.fix.name, "until reboot", True, (Difference("sysfs", "/sys/a", ("0",), ("1",)),), ())
        for check in diagnosis.checks
        for problem in check.problems
        if problem.fix
    )
    assert mistakes("doctor", replace(diagnosis, fixes=fixes).to_json()) == []
    service = ServiceState("nova-compute", ServiceStatus.RUNNING, 77, 1.5, 0)
    parts = (PartLine("cloud", "nova", replace(present("running"), services=(service,))),)
    status = HostStatus(True, ("emulated",), parts, (error("a"),), diagnosis.checks)
    assert mistakes("status", status.to_json()) == []


def test_apply_undo_and_the_journal(tmp_path: Path) -> None:
    instance = replace(Instance(), state=str(tmp_path / "state"), host=str(tmp_path / "host"))
    machine = LocalMachine()
    journal = open_journal(machine, instance, Scope.MACHINE)
    change = file.file(f"{tmp_path}/added", "text\n")
    step = Step("services", "a reason", (change,))
    looked = engine.look(machine, [change.location])
    apply = Apply(SiteHost("", "", "", None, machine), instance, OPTIONS)
    record = Record("services", change.kind, change.key, looked[change.location], change.state)
    apply.prepared = flows_apply.Prepared(
        target=rack(), journal=journal, survey=parse("loader\tgrub\n"), now=looked, pending=((step, (change,)),), previous=(record,),
        booted=True, reboot=("a",), packages=(), rolled_back="",
    )  # fmt: skip
    assert mistakes("apply", {"schema": 1, **apply.to_json()}) == []
    assert mistakes("apply", {"schema": 1, **apply.to_json(), "rebooted": True, "reboot_needed": ["a"]}) == []
    engine.make(journal, "services", [change])
    assert mistakes("journal", json.loads((tmp_path / "host/journal.json").read_text())) == []
    undo = Undo(apply.host, instance, OPTIONS)
    undo.survey()
    assert len(undo.to_json()["undone"]) == 1
    assert mistakes("undo", {"schema": 1, **undo.to_json()}) == []
    done = {"findings": [error("a").to_json()], "status": 1, "rebooted": False, "reboot_needed": []}
    assert mistakes("undo", {"schema": 1, **undo.to_json(), **done}) == []


def test_measurements(run: Run) -> None:
    assert mistakes("run", to_plain(run)) == []
    assert [mistake for trial in run.trials for mistake in mistakes("trial", to_plain(trial))] == []
    assert mistakes("compare", to_plain(compare_runs(run, run))) == []


@pytest.mark.parametrize("path", sorted((ROOT / "examples/streams").glob("*.yaml")), ids=lambda path: path.stem)
def test_stream_files(path: Path) -> None:
    assert mistakes("stream", YAML(typ="safe", pure=True).load(path.read_text())) == []


def test_support_bundle() -> None:
    bundle = Bundle({"plan.json": b"{}"}, {"facts.json": "only root may read it"})
    assert mistakes("support-bundle", {"path": "/a", **bundle.to_json()}) == []


@pytest.mark.parametrize(
    ("words", "status"),
    [("plan --site nothing.yaml --json", 2), ("doctor --json --site nothing.yaml", 2), ("inspect --json --nothing", 2)],
)
def test_an_error_is_json_too(
    words: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ouchi", *words.split()])
    assert main() == status
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert mistakes("error", document) == []
    assert document["status"] == status
    assert document["findings"][0]["claim"] in captured.err


def test_several_hosts() -> None:
    result: HostResult[Any] = HostResult("attic", "root@192.0.2.1", 0.5, None, 2, (error("a", found="b"),))
    assert mistakes("hosts", {"schema": 1, "hosts": [result.to_json(), result.to_json({"schema": 3})]}) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_members_are_identifiers(name: str) -> None:
    def members(node: Any) -> Iterator[str]:
        if isinstance(node, list | dict):
            yield from node.get("properties", {}) if isinstance(node, dict) else ()
            for part in node.values() if isinstance(node, dict) else node:
                yield from members(part)

    assert [member for member in members(schema_of(name)) if not re.fullmatch("[a-z][a-z0-9_]*", member)] == []


@pytest.mark.parametrize(
    "words",
    ["", "--path pvp --guest vm --also soak", "--path p2p --wire net_ring0 net_ring1 --rate 1Mpps", "--search binary"],
)
def test_a_dry_run_of_bench(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ouchi", "bench", "--dry-run", "--json", *words.split()])
    assert main() == 0
    printed = json.loads(capsys.readouterr().out)
    assert mistakes("bench-dry-run", printed) == []
    assert mistakes("bench-dry-run", {**printed, "generator's CPUs": []})


def test_every_name_is_documented() -> None:
    section = (ROOT / "docs/commands.md").read_text().partition("## ouchi schema")[2].partition("\n## ")[0]
    assert [name for name in SCHEMAS if f"`{name}`" not in section] == []
