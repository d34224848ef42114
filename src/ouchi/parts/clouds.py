"""This cloud in /etc/openstack: an entry is added, nothing else of the user's files is touched.

``clouds.yaml`` gets what everybody may read, ``secure.yaml`` (0600) the password; clients read both.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ouchi.core.errors import Failed, Finding, error
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present, unknown
from ouchi.parts.settings import CLOUD, REGION, Settings
from ouchi.steps.journal import Journal

KIND = "clouds"
FOLDER = "/etc/openstack"


class Clouds(Part):
    name = "clouds.yaml"
    stage = "cloud"

    def conflicts(self, at: Context) -> list[Finding]:
        return unreadable(at.machine)

    def look(self, at: Context) -> PartState:
        try:
            entries = _entries(at.settings)
            there = all(_has(at.machine, path, entry) for path, (entry, _) in entries.items())
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


def add(machine: Machine, journal: Journal, settings: Settings) -> Outcome:
    """Add or refresh the entry in both files."""
    if not machine.exists(FOLDER):
        journal.note(KIND, FOLDER, {})
        machine.make_folder(FOLDER)
    wrote = [_put(machine, journal, path, entry, mode) for path, (entry, mode) in _entries(settings).items()]
    text = f"OS_CLOUD={CLOUD} in {FOLDER}/clouds.yaml"
    return changed(text) if any(wrote) else nothing(text)


def _entries(settings: Settings) -> dict[str, tuple[dict[str, Any], int]]:
    """Our entry in each of the two files, and the permission bits of a new one."""
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
    return {f"{FOLDER}/clouds.yaml": (public, 0o644), f"{FOLDER}/secure.yaml": (secret, 0o600)}


def _has(machine: Machine, path: str, entry: dict[str, Any]) -> bool:
    return machine.exists(path) and _parse(path, machine.read(path)).get("clouds", {}).get(CLOUD) == entry


def unreadable(machine: Machine) -> list[Finding]:
    """A finding for each of the two files that is there and is not one that clients read; nothing is changed."""
    findings: list[Finding] = []
    for path in (f"{FOLDER}/clouds.yaml", f"{FOLDER}/secure.yaml"):
        if machine.exists(path):
            try:
                _parse(path, machine.read(path))
            except Failed as reason:
                findings += reason.findings
    return findings


def _put(machine: Machine, journal: Journal, path: str, entry: dict[str, Any], mode: int) -> bool:
    """Write our entry into one file; True when it was missing or different."""
    text = machine.read(path) if machine.exists(path) else None
    document = _parse(path, text or "")
    if document.setdefault("clouds", {}).get(CLOUD) == entry:
        return False
    document["clouds"][CLOUD] = entry
    wanted = _dump(document)
    journal.note(KIND, path, {"before": text})
    journal.amend(KIND, path, {"ours": wanted})
    machine.write(path, wanted, mode=machine.mode(path) if text is not None else mode)
    return True


def undo(machine: Machine, journal: Journal) -> list[str]:
    """Put the files back byte for byte; a file that was changed since only loses our entry."""
    done = []
    records = journal.records(KIND)
    for name in machine.entries(FOLDER) if records else ():
        if name.startswith(".ouchi-"):  # a run was killed while it wrote
            machine.remove(f"{FOLDER}/{name}")
    for path, record in reversed(records.items()):
        if path == FOLDER:
            if not machine.entries(FOLDER):
                machine.remove(FOLDER)
        elif machine.exists(path):
            text, before = machine.read(path), record["before"]
            if text in (record.get("ours"), before):
                restored = before
            else:
                document = _parse(path, text)
                document.get("clouds", {}).pop(CLOUD, None)
                restored = _dump(document)
            if restored is None:
                machine.remove(path)
            elif restored != text:
                machine.write(path, restored, mode=machine.mode(path))
            done.append(f"{path} as before")
        journal.forget(KIND, path)
    return done


def _parse(path: str, text: str) -> Any:
    try:
        document = YAML().load(text) if text.strip() else {}
    except YAMLError as reason:
        raise _unusable(path, str(reason)) from None
    if not isinstance(document, dict) or not isinstance(document.get("clouds", {}), dict):
        raise _unusable(path, "no mapping with `clouds`")
    return document


def _unusable(path: str, found: str) -> Failed:
    return Failed(
        error(
            "this file is not one that OpenStack's clients read",
            where=path,
            found=found,
            expected="a YAML mapping with `clouds`",
            remedy="fix or move the file, then: ouchi up",
        )
    )


def _dump(document: Any) -> str:
    stream = io.StringIO()
    YAML().dump(document, stream)
    return stream.getvalue()


PARTS = (Clouds(),)
