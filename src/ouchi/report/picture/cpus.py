"""The CPUs of a picture: the pools of each, what runs there, and its marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ouchi.facts import Facts
from ouchi.plan.values import GuestPlan, Plan
from ouchi.report.text import clean

LETTERS = {"host": "h", "pmd": "p", "dedicated": "d", "shared": "s"}
"""The pools in the order in which they are listed, and the letter of each where there is no colour or no room."""

SHADES = 6
"""Guests take turns in so many shades."""


@dataclass(frozen=True, slots=True)
class Note:
    """What runs on a CPU, in full and in the one or two letters that fit anywhere, and its look in the drawing."""

    look: str
    long: str
    short: str

    @property
    def of_guest(self) -> bool:
        """True when a guest runs there."""
        return self.look.startswith("guest")


@dataclass(frozen=True, slots=True)
class DrawnCpu:
    """One CPU: its pools (none without a plan), what runs there, its marks; ``label``: all of it as text."""

    cpu: int
    pools: tuple[str, ...]
    note: Note | None
    isolated: bool
    online: bool
    label: str

    @property
    def letters(self) -> str:
        """Its pools, guest and marks where there is no colour: ``d`` and ``A`` for guest A on a dedicated CPU."""
        if not self.online:
            return "x"
        of = "".join(LETTERS[pool] for pool in self.pools)
        note = self.note.short if self.note and (self.note.of_guest or not self.pools) else ""
        return of + note + "*" * self.isolated


def drawn_cpus(facts: Facts, plan: Plan | None) -> dict[int, DrawnCpu]:
    """Every CPU by its number."""
    pools: dict[int, list[str]] = {cpu.id: [] for cpu in facts.cpus}
    if plan:
        for pool in LETTERS:
            for number in getattr(plan.pools, pool):
                pools.setdefault(number, []).append(pool)
    apart = frozenset(plan.isolated) if plan else frozenset(cpu.id for cpu in facts.cpus if cpu.isolated)
    notes, polled = _notes(pools, plan), _polled(plan)
    found = {}
    for cpu in facts.cpus:
        note = notes.get(cpu.id) if cpu.online else None
        isolated = cpu.id in apart and cpu.online
        label = [f"CPU {cpu.id}"] + ([] if cpu.online else ["offline"]) + pools[cpu.id]
        label += [f"guest {note.long}"] if note and note.of_guest else []
        label += (["isolated"] if isolated else []) + polled.get(cpu.id, [])
        found[cpu.id] = DrawnCpu(cpu.id, tuple(pools[cpu.id]), note, isolated, cpu.online, ", ".join(label))
    return found


def _notes(pools: Mapping[int, Sequence[str]], plan: Plan | None) -> dict[int, Note]:
    """What runs on each CPU, by the plan."""
    found: dict[int, Note] = {}
    for cpu, of in pools.items() if plan else ():
        letters = "".join(LETTERS[pool] for pool in of)
        found[cpu] = Note(of[0], "+".join(of), letters) if of else Note("idle", "idle", "-")
        if letters == "d":
            found[cpu] = Note("dedicated", "free", "d")
    for note, guest in pinned_guests(plan) if plan else ():
        found |= dict.fromkeys(guest.cpus, note)
    return found


def pinned_guests(plan: Plan) -> list[tuple[Note, GuestPlan]]:
    """The guests with CPUs of their own, each with its note."""
    guests = [guest for guest in plan.guests if guest.pinned]
    return [
        (Note(f"guest{number % SHADES}", clean(guest.name), guest_tag(number)), guest)
        for number, guest in enumerate(guests)
    ]


def _polled(plan: Plan | None) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for nic in plan.nics if plan else ():
        for queue, cpu in enumerate(nic.rxqs):
            found.setdefault(cpu, []).append(f"polls queue {queue} of {clean(nic.name) or nic.address}")
    return found


def guest_tag(number: int) -> str:
    """The letters of a guest by its number in the plan, from 0: A, B, … Z, AA, AB, …"""
    tag = ""
    while number >= 0:
        number, letter = divmod(number, 26)
        tag = chr(ord("A") + letter) + tag
        number -= 1
    return tag
