"""The plan that a run stores, on its page; a plan that someone else has changed is left out, and breaks nothing."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ouchi.machine.local import LocalMachine
from ouchi.measure.runs.folder import read_run, read_run_plan
from ouchi.measure.runs.model import Run
from ouchi.report.picture.svg import document
from ouchi.report.run.page import page_html
from tests.plans import target_of
from tests.runs import write_run

MACHINE = LocalMachine()
TARGET = target_of("core-i5-13500")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("runs") / "run"
    writer = write_run(found)
    writer.attach("plan", TARGET.plan.to_json())
    writer.attach("facts", TARGET.facts.to_json())
    return found


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(MACHINE, folder)


def drawn(page: str) -> list[str]:
    return [base64.b64decode(data).decode() for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)]


def test_the_page_shows_the_plan_that_was_measured(folder: Path, run: Run) -> None:
    assert drawn(page_html(run, read_run_plan(MACHINE, folder))) == [document(TARGET.facts, TARGET.plan)]
    assert drawn(page_html(run)) == []


def changed(folder: Path, to: Path, **documents: Any) -> Path:
    to.mkdir(exist_ok=True)
    for name in ("plan", "facts"):
        value = documents.get(name, json.loads((folder / f"{name}.json").read_text()))
        (to / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return to


@pytest.mark.parametrize("name", ["plan", "facts"])
@pytest.mark.parametrize("change", [{"schema": 1}, {"schema": None}, {"pools": 5}, {"cpus": 5}, {}])
def test_another_form_is_left_out(folder: Path, tmp_path: Path, name: str, change: dict[str, Any]) -> None:
    value = json.loads((folder / f"{name}.json").read_text())
    broken = {**value, **change} if change else "{"
    part = changed(folder, tmp_path, **{name: broken})
    assert read_run_plan(MACHINE, part) is None
    (part / f"{name}.json").unlink()
    assert read_run_plan(MACHINE, part) is None


def test_cpus_that_the_host_does_not_have_are_left_out(folder: Path, tmp_path: Path) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    plan["pools"]["pmd"].append(99)
    assert read_run_plan(MACHINE, changed(folder, tmp_path, plan=plan)) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_changed_breaks_no_page(folder: Path, run: Run, tmp_path: Path, data: st.DataObject) -> None:
    """A value anywhere in either document becomes another one."""
    name = data.draw(st.sampled_from(["plan", "facts"]))
    whole = json.loads((folder / f"{name}.json").read_text())
    node = whole
    while True:
        keys = list(range(len(node))) if isinstance(node, list) else list(node)
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], list | dict) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(
        st.sampled_from(
            [0, -1, 2**40, 2**63, -(2**62), 0.5, "", "\x1b[31m", "</svg>&", "x" * 3000, None, [], [1], {}, True]
        )
    )
    page = page_html(run, read_run_plan(MACHINE, changed(folder, tmp_path, **{name: whole})))
    assert len(drawn(page)) <= 1
    assert "</svg>&" not in "".join(drawn(page))
