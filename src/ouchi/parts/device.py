"""Network devices and namespaces of ouchi: noted before they are made, removed by their names."""

from __future__ import annotations

from ouchi.steps import engine
from ouchi.steps.device import SPACES, noted
from ouchi.steps.journal import Journal

__all__ = ["KIND", "SPACES", "forget", "is_ours", "note", "undo"]

KIND = "device"
STEP = "devices"


def note(journal: Journal, name: str, namespace: str = "") -> None:
    """Note that ouchi is about to make a device, and perhaps a namespace for it."""
    records = noted(STEP, name, namespace, first=not journal.machine.exists(SPACES))
    journal.put(record for record in records if not journal.record(*record.location))


def is_ours(journal: Journal, name: str) -> bool:
    """True for a device that ouchi has made or was about to make."""
    return journal.record(KIND, name) is not None


def forget(journal: Journal, name: str) -> None:
    """Drop the records of a device that was removed, and of its namespace."""
    if record := journal.record(KIND, name):
        journal.forget("netns", f"{SPACES}/{record.after['namespace']}")
        journal.forget(KIND, name)


def undo(journal: Journal) -> list[str]:
    """Remove the devices and namespaces, and the folder of namespaces when it came with ours and is empty.

    To be called when nothing of ours uses them any more.
    """
    devices = journal.records(KIND)
    # A device first, then its namespace, then their folder.
    spaces = sorted(journal.records("netns"), key=lambda record: record.key, reverse=True)
    now = engine.look(journal.machine, [record.location for record in (*devices, *spaces)])
    engine.undo(journal, (*devices, *spaces))
    done = [key for (_, key), state in now.items() if state is not None and key != SPACES]
    return [f"removed: {', '.join(done)}"] if done else []
