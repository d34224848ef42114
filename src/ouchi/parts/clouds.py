"""This cloud in /etc/openstack: an entry is added, nothing else of the user's files is touched.

``clouds.yaml`` gets what everybody may read, ``secure.yaml`` (0600) the password; clients read both.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ouchi.core.errors import Failed, Finding, error
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.settings import CLOUD, REGION, Settings
from ouchi.steps.journal import Journal

KIND = "clouds"
FOLDER = "/etc/openstack"


def add(machine: Machine, journal: Journal, settings: Settings) -> Outcome:
    """Add or refresh the entry in both files."""
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
    if not machine.exists(FOLDER):
        journal.note(KIND, FOLDER, {})
        machine.make_folder(FOLDER)
    wrote = [
        _put(machine, journal, f"{FOLDER}/clouds.yaml", public, 0o644),
        _put(machine, journal, f"{FOLDER}/secure.yaml", secret, 0o600),
    ]
    text = f"OS_CLOUD={CLOUD} in {FOLDER}/clouds.yaml"
    return changed(text) if any(wrote) else nothing(text)


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
        error("this file is not one that OpenStack's clients read", where=path, found=found,
              expected="a YAML mapping with `clouds`", remedy="mend or move the file, then: ouchi up")
    )  # fmt: skip


def _dump(document: Any) -> str:
    stream = io.StringIO()
    YAML().dump(document, stream)
    return stream.getvalue()
