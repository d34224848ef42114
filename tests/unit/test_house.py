"""``docs/house.md`` describes the source as it is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ouchi"
PAGE = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")

# A row of the one-guess table names files by these: any name stands for them.
PLACEHOLDER = re.compile(r"[A-Z]{3,}")


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without the one that names its columns."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


ROOMS = {code(room)[0] for room, _ in table("Rooms")}
GUESSES = [(what, code(where)[0], code(example)[0]) for what, where, example in table("One guess")]


def test_the_layers_are_those_of_the_contract() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = configuration["tool"]["importlinter"]["contracts"]
    layers = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    assert [code(rooms) for _, rooms in table("Layers, top to bottom")] == layers


def test_every_module_is_in_a_room() -> None:
    packages = {str(path.parent.relative_to(SOURCE)) for path in SOURCE.rglob("*.py")} - {"."}
    assert packages - ROOMS == set(), "docs/house.md has no row for them under Rooms"


def test_every_room_is_there() -> None:
    assert {room for room in ROOMS if not (SOURCE / room).is_dir()} == set()


@pytest.mark.parametrize(("what", "where", "example"), GUESSES)
def test_every_guess_is_right(what: str, where: str, example: str) -> None:
    assert (ROOT / example).exists(), what
    pattern = PLACEHOLDER.sub("*", where)
    assert any(ROOT.glob(pattern)), f"nothing is at {where}"
    assert Path(example) == Path(pattern).parent or Path(example).match(pattern), f"{example} is not at {where}"
