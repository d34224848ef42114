"""Pages of ours among those of others: reserved, given back, and never mistaken, however a change was cut short."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import Failed
from ouchi.machine import Machine
from ouchi.parts import hugepages
from ouchi.steps.journal import Journal

COUNTS = st.integers(0, 500)


class Killed(BaseException):
    """What a kill looks like from inside."""


@dataclass
class Kernel:
    """A kernel's counter of pages, with room for so many and some in use, and a disk for the journal; dies before the
    n-th change.
    """

    pages: int
    room: int = 10_000
    used: int = 0
    used_later: int = 0
    dies_at: int = -1
    disk: dict[str, str] = field(default_factory=dict)
    changes: int = 0

    def _step(self) -> None:
        if self.changes == self.dies_at:
            raise Killed
        self.changes += 1

    def read(self, path: object) -> str:
        if str(path).endswith("free_hugepages"):
            return str(self.pages - self.used)
        return self.disk[str(path)] if str(path) in self.disk else str(self.pages)

    def exists(self, path: object) -> bool:
        return str(path) in self.disk

    def poke(self, path: object, text: str) -> None:
        self._step()
        if str(path).endswith("nr_hugepages"):
            self.used = max(self.used, self.used_later)  # a program that starts after the pages were counted
            self.pages = min(max(int(text), self.used), self.room)

    def make_folder(self, _path: object) -> None: ...

    def write(self, path: object, text: str, **_: Any) -> None:
        self._step()
        self.disk[str(path)] = text


def reserve(kernel: Kernel, count: int) -> None:
    machine = cast("Machine", kernel)
    hugepages.reserve(Journal(machine, "/state"), 0, 2048, count)


def undo(kernel: Kernel) -> None:
    machine = cast("Machine", kernel)
    hugepages.undo(Journal(machine, "/state"))


@given(st.integers(0, 500), st.lists(st.integers(0, 500), min_size=1, max_size=4))
def test_what_was_there_before_is_there_afterwards(before: int, counts: list[int]) -> None:
    kernel = Kernel(before)
    for count in counts:
        reserve(kernel, count)
        assert kernel.pages == before + count
    undo(kernel)
    assert kernel.pages == before
    assert Journal(cast("Machine", kernel), "/state").records() == ()


@pytest.mark.parametrize("dies_at", range(12))
@given(before=COUNTS, counts=st.lists(COUNTS, min_size=2, max_size=3), after=COUNTS)
def test_killed_anywhere_the_next_one_and_the_end_find_what_is_ours(
    dies_at: int, before: int, counts: list[int], after: int
) -> None:
    kernel = Kernel(before, dies_at=dies_at)
    try:
        for count in counts:
            reserve(kernel, count)
    except Killed:
        pass
    kernel.dies_at = -1
    reserve(kernel, after)
    assert kernel.pages == before + after
    undo(kernel)
    assert kernel.pages == before


@pytest.mark.parametrize("dies_at", range(12))
@given(before=COUNTS, count=COUNTS)
def test_killed_anywhere_down_gives_back_ours_and_no_others(dies_at: int, before: int, count: int) -> None:
    kernel = Kernel(before, dies_at=dies_at)
    try:
        reserve(kernel, count)
        reserve(kernel, count // 2)
    except Killed:
        pass
    kernel.dies_at = -1
    undo(kernel)
    assert kernel.pages == before


def test_what_there_is_no_room_for_is_not_kept_half() -> None:
    kernel = Kernel(100, room=300)
    reserve(kernel, 150)
    with pytest.raises(Failed, match="no room"):
        reserve(kernel, 250)
    assert kernel.pages == 250
    undo(kernel)
    assert kernel.pages == 100


def test_giant_pages_that_were_set_aside_at_boot_are_taken_as_they_are() -> None:
    kernel = Kernel(8, room=8)
    machine = cast("Machine", kernel)
    for used in (0, 5):  # the second time OVS and guests have theirs
        kernel.used = used
        hugepages.reserve(Journal(machine, "/state"), 0, 1024 * 1024, 5)
        assert kernel.pages == 8
    undo(kernel)
    assert kernel.pages == 8
    with pytest.raises(Failed, match="no room"):
        hugepages.reserve(Journal(machine, "/state"), 0, 1024 * 1024, 5)
    assert kernel.pages == 8


@pytest.mark.parametrize("when", ["used", "used_later"])
@given(before=COUNTS, count=COUNTS, less=COUNTS, in_use=COUNTS)
def test_pages_in_use_stay_ours_until_they_are_free(when: str, before: int, count: int, less: int, in_use: int) -> None:
    """Open vSwitch keeps some of the memory that a measurement needed, so its pages cannot all be given back after it."""
    kernel = Kernel(before)
    reserve(kernel, count + less)
    setattr(kernel, when, min(in_use, kernel.pages))
    reserve(kernel, count)
    assert kernel.pages == max(before + count, min(in_use, before + count + less))
    kernel.used = kernel.used_later = 0
    reserve(kernel, count)
    assert kernel.pages == before + count
    undo(kernel)
    assert kernel.pages == before
