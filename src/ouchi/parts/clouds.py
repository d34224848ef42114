"""This cloud in /etc/openstack: an entry is added, nothing else of the user's files is touched.

``clouds.yaml`` gets what everybody may read, ``secure.yaml`` (0600) the password; clients read both.
"""

from __future__ import annotations

from ouchi.core.errors import Failed, Finding
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present, unknown
from ouchi.parts.settings import CLOUD, REGION, Settings
from ouchi.steps import Change, engine
from ouchi.steps.file import folder
from ouchi.steps.journal import Journal
from ouchi.steps.yaml_entry import parse, yaml_entry

STEP = "clouds.yaml"
FOLDER = "/etc/openstack"


class Clouds(Part):
    name = "clouds.yaml"
    stage = "cloud"

    def conflicts(self, at: Context) -> list[Finding]:
        return unreadable(at.machine)

    def look(self, at: Context) -> PartState:
        try:
            there = not engine.preview(at.journal, _changes(at.settings))
        except PermissionError as reason:
            return unknown(f"only root may read {reason.filename}")
        except (KeyError, Failed):  # no password yet, or no file that can be read
            there = False
        file = f"{FOLDER}/clouds.yaml"
        return present(f"OS_CLOUD={CLOUD} in {file}") if there else missing(f"add this cloud to {file}")

    def make(self, at: Context, notify: Notify) -> Outcome:
        return add(at.machine, at.journal, at.settings)

    def remove(self, at: Context) -> Outcome:
        done = undo(at.machine, at.journal)
        return changed("; ".join(done)) if done else nothing("no entry of ours")


def add(_machine: Machine, journal: Journal, settings: Settings) -> Outcome:
    """Add or refresh the entry in both files."""
    text = f"OS_CLOUD={CLOUD} in {FOLDER}/clouds.yaml"
    return changed(text) if engine.make(journal, STEP, _changes(settings)) else nothing(text)


def _changes(settings: Settings) -> tuple[Change, ...]:
    """The folder, and the entry in each of the two files."""
    public = {
        "auth": {
            "auth_url": f"{settings.url('keystone')}/v3",
            "username": "admin",
            "project_name": "admin",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": REGION,
        "interface": "public",
        "identity_api_version": 3,
    }
    secret = {"auth": {"password": settings.secrets["admin"]}}
    return (
        folder(FOLDER),
        yaml_entry(f"{FOLDER}/clouds.yaml", f"clouds.{CLOUD}", public),
        yaml_entry(f"{FOLDER}/secure.yaml", f"clouds.{CLOUD}", secret, mode=0o600),
    )


def unreadable(machine: Machine) -> list[Finding]:
    """A finding for each of the two files that exists and that clients cannot read; nothing is changed."""
    findings: list[Finding] = []
    for path in (f"{FOLDER}/clouds.yaml", f"{FOLDER}/secure.yaml"):
        if machine.exists(path):
            try:
                parse(path, machine.read(path), "clouds")
            except Failed as reason:
                findings += reason.findings
    return findings


def undo(_machine: Machine, journal: Journal) -> list[str]:
    """Restore the files byte for byte; a file that was changed since only loses our entry."""
    records = tuple(reversed(journal.records(step=STEP)))
    engine.undo(journal, records)
    return [f"{record.key.rpartition(':')[0]} as before" for record in records if record.kind == "yaml"]


PARTS = (Clouds(),)
