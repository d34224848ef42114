"""The shipped dumps are what the services' own migrations make."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from lab import Lab

from ouchi.parts import mariadb as database
from ouchi.parts import registry

TOOL = Path(__file__).parents[2] / "tools" / "make_schema.py"


@pytest.mark.exhaustive
def test_shipped_schemas_are_those_of_the_migrations(lab: Lab) -> None:
    specification = importlib.util.spec_from_file_location("make_schema", TOOL)
    assert specification
    assert specification.loader
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)

    lab.run([sys.executable, str(TOOL), str(lab.home)], timeout=400)

    shipped = {name: database.dump_text(name) for name in registry.schemas() if name != "nova_cell0"}
    made = {name: (lab.home / f"{name}.sql").read_text() for name in shipped}
    for name, text in made.items():
        assert "CREATE TABLE" in text
        assert tool.tables(text) == tool.tables(shipped[name]), f"{name}.sql: make it anew with {TOOL.name}"
        assert tool.heads(text) == tool.heads(shipped[name]), name
