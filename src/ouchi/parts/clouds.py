"""This cloud in /etc/openstack: an entry is added, nothing else of the user's files is touched.

``clouds.yaml`` gets what everybody may read, ``secure.yaml`` the password, and while it has that, only its owner may read
it; clients read both. Owner and group of both stay.
"""

from __future__ import annotations

from ouchi.core.errors import Finding, OuchiError
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present, unknown
from ouchi.parts.settings import CLOUD, REGION, Settings
from ouchi.steps import Change, engine
from ouchi.steps.file import folder
from ouchi.steps.yaml_entry import YamlEntryKind, yaml_entry

FOLDER = "/etc/openstack"
PUBLIC, SECRET = f"{FOLDER}/clouds.yaml", f"{FOLDER}/secure.yaml"


class Clouds(Part):
    name = "clouds.yaml"
    stage = "cloud"

    def conflicts(self, at: Context) -> list[Finding]:
        return unreadable(at.machine)

    def look(self, at: Context) -> PartState:
        try:
            there = not engine.preview(at.journal, changes(at.settings))
        except PermissionError as reason:
            return unknown(f"only root may read {reason.filename}")
        except (KeyError, OuchiError):  # no password yet, or no file that can be read
            there = False
        return present(f"OS_CLOUD={CLOUD} in {PUBLIC}") if there else missing(f"add this cloud to {PUBLIC}")

    def make(self, at: Context, notify: Notify) -> Outcome:
        text = f"OS_CLOUD={CLOUD} in {PUBLIC}"
        return changed(text) if engine.make(at.journal, self.name, changes(at.settings)) else nothing(text)

    def remove(self, at: Context) -> Outcome:
        """Restore the files byte for byte; a file that was changed since only loses our entry."""
        records = tuple(reversed(at.journal.records(step=self.name)))
        engine.undo(at.journal, records)
        files = [record.key.rpartition(":")[0] for record in records if record.kind == "yaml"]
        return changed("; ".join(f"{path} as before" for path in files)) if files else nothing("no entry of ours")


def changes(settings: Settings) -> tuple[Change, ...]:
    """The entry in each of the two files."""
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
        yaml_entry(PUBLIC, f"clouds.{CLOUD}", public),
        yaml_entry(SECRET, f"clouds.{CLOUD}", secret, mode=0o600),
    )


def unreadable(machine: Machine) -> list[Finding]:
    """A finding for each of the two files that exists and that clients cannot read; nothing is changed."""
    findings: list[Finding] = []
    for path in (PUBLIC, SECRET):
        try:
            YamlEntryKind().look(machine, [f"{path}:clouds.{CLOUD}"])
        except OuchiError as reason:
            findings += reason.findings
    return findings


PARTS = (Clouds(),)
