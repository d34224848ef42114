"""``ouchi schema``: what commands print and read has the form that it prints."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ouchi.checks.check import Check
from ouchi.checks.status.values import HostStatus, Part
from ouchi.checks.verify import Verdict
from ouchi.flows.preview import Intent, Will
from ruamel.yaml import YAML

from ouchi.checks.traffic import Measurement
from ouchi.cli import main
from ouchi.cli.schema import SCHEMAS, schema_of
from ouchi.core.errors import error, warning
from ouchi.core.events import Event, Kind
from ouchi.flows.hosts import Outcome
from ouchi.plan.saved import plan_json
from ouchi.report.preview import preview_json
from ouchi.report.summary import summary_json
from ouchi.site import default_site
from tests.hosts import folder, names
from tests.plans import target_of
from tests.rack import rack

ROOT = Path(__file__).parents[2]


def mistakes(name: str, document: Any) -> list[str]:
    """What a document has that its schema does not allow; the document as a program reads it."""
    found = Draft202012Validator(schema_of(name)).iter_errors(json.loads(json.dumps(document)))
    return [f"{one.json_path}: {one.message}" for one in found]


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
    assert printed["additionalProperties"] is False
    assert mistakes(name, {"surplus": 1})


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


def test_up() -> None:
    target = rack()
    tasks = [Intent("prepare", "packages", will, "install 3 packages") for will in Will]
    assert mistakes("up-dry-run", preview_json(target, tasks, [warning("a", where="b")])) == []
    verdict = Verdict(
        (Check("a", True, "b", "c"),), (Measurement("left", 5.0, 1e9, 1e8, 9e7, 64, 1000, 1),), ("emulated",), True
    )
    times = [{"stage": "a", "task": "b", "kind": Kind.CHANGED, "text": "", "begin": 0.1, "seconds": 0.2}]
    assert mistakes("up", summary_json(target.site, target.plan, verdict, times, 61.234)) == []
    assert mistakes("up", summary_json(None, None, None, [], 0.1)) == []
    for kind in Kind:
        assert mistakes("event", asdict(Event(kind, "cloud", "nova", "12 of 20", 1.5, 2.5))) == []


def test_status() -> None:
    parts = tuple(
        Part(layer, "service", "nova", "running", True) for layer in ("host", "dataplane", "cloud", "servers")
    )
    assert mistakes("status", HostStatus(True, ("emulated",), parts, (error("a"),)).to_json()) == []


def test_several_hosts() -> None:
    outcome: Outcome[Any] = Outcome("attic", "root@192.0.2.1", 0.5, None, 2, (error("a", found="b"),))
    assert mistakes("hosts", {"schema": 1, "hosts": [outcome.to_json(), outcome.to_json({"schema": 3})]}) == []
