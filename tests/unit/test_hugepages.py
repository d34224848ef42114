"""Pages of ours among those of others: reserved, given back, and never mistaken, however a change was cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import Failed
from ouchi.machine import Machine, Result
from ouchi.parts import hugepages
from ouchi.steps import engine
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
    boot: int = 1
    disk: dict[str, str] = field(default_factory=dict)
    changes: int = 0

    def _step(self) -> None:
        if self.changes == self.dies_at:
            raise Killed
        self.changes += 1

    def read(self, path: object) -> str:
        if path == engine.BOOT_ID:
            return str(self.boot)
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

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        _, _, _, _, text, path = argv
        self.poke(path, text)
        return Result(tuple(argv), 0, "", "")

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


@pytest.mark.parametrize("dies_at", range(12))
@pytest.mark.parametrize("undoing", [False, True])
@given(before=COUNTS, count=COUNTS, more=st.integers(1, 600), in_use=COUNTS)
def test_killed_anywhere_down_leaves_what_others_reserve_later(
    undoing: bool, dies_at: int, before: int, count: int, more: int, in_use: int
) -> None:
    """Only exactly as many as ouchi was about to reserve are taken for its own."""
    kernel = Kernel(before, dies_at=dies_at)
    try:
        reserve(kernel, count)
        reserve(kernel, count // 2)
        if undoing:
            undo(kernel)
    except Killed:
        pass
    kernel.dies_at = -1
    if kernel.pages + more in (before, before + count, before + count // 2):
        return
    kernel.pages += more
    kernel.used = min(in_use, kernel.pages)
    undo(kernel)
    assert kernel.pages >= before + more
    undo(kernel)
    assert kernel.pages >= before + more


@given(before=COUNTS, count=COUNTS, others=COUNTS)
def test_after_a_reboot_no_page_is_ours(before: int, count: int, others: int) -> None:
    kernel = Kernel(before)
    reserve(kernel, count)
    kernel.pages, kernel.boot = others, 2
    undo(kernel)
    assert kernel.pages == others
    assert Journal(cast("Machine", kernel), "/state").records() == ()
    reserve(kernel, count)
    kernel.pages, kernel.boot = others, 3
    reserve(kernel, count)
    assert kernel.pages == others + count
    undo(kernel)
    assert kernel.pages == others


@given(before=COUNTS, count=COUNTS, lower=COUNTS)
def test_a_count_that_was_set_back_has_none_of_ours(before: int, count: int, lower: int) -> None:
    """As ``sysctl --system`` does."""
    kernel = Kernel(before)
    reserve(kernel, count)
    kernel.pages = max(0, before - lower)
    undo(kernel)
    assert kernel.pages == max(0, before - lower)


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
