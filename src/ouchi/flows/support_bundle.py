"""``ouchi support-bundle``: everything that a bug report needs, in one archive, redacted as snapshots are.

Each part is collected in a thread of its own within a time limit, so that a host on which something hangs gives the
rest. What could not be collected is listed with the reason.
"""

from __future__ import annotations

import contextlib
import json
import platform
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any, Final

from ouchi import __version__
from ouchi.core.errors import BadInput, OuchiError
from ouchi.core.instance import Instance
from ouchi.core.redact import add_secrets
from ouchi.facts import Facts, collect
from ouchi.flows.doctor import examine
from ouchi.flows.status import read_status
from ouchi.machine import Machine, Reader
from ouchi.machine.owners import require_own
from ouchi.machine.snapshot.recorder import Noted, Recorder
from ouchi.machine.snapshot.redact import Redactor
from ouchi.machine.snapshot.save import pack, snapshot_members
from ouchi.parts.context import Context
from ouchi.parts.settings import RELEASE
from ouchi.plan.load import read_target
from ouchi.plan.saved import plan_json
from ouchi.report.doctor import doctor_text
from ouchi.report.status import status_text

SECONDS: Final = 45.0
"""How long collecting may take altogether; status and doctor take some ten seconds each at most."""

TAIL: Final = 128 * 1024
"""Bytes of the end of each log."""

WIDTH: Final = 120
"""Columns of the texts."""

Source = Callable[[], Mapping[str, str]]
"""Reads one part of a bundle: texts by file name."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a bundle by name, and why others are missing."""

    files: Mapping[str, bytes]
    missing: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The list of contents as plain JSON; the sizes are in bytes."""
        return {
            "schema": 1,
            "ouchi": __version__,
            "files": {name: len(content) for name, content in sorted(self.files.items())},
            "missing": dict(sorted(self.missing.items())),
        }


def collect_bundle(
    machine: Machine, instance: Instance, site_file: str, root: bool, seconds: float = SECONDS
) -> Bundle:
    """Collect and redact. Changes nothing and never raises for what a host lacks.

    ``site_file`` need not exist; ``root``: whether ouchi runs as root.
    Programs that still run after ``seconds`` are ended with :meth:`~ouchi.machine.Machine.interrupt`, so the machine can
    run no further ones.
    """
    _register_secrets(machine, instance)
    noted: list[tuple[Noted, str]] = []
    sources = {
        "the facts of the host": lambda: _host(machine, noted),
        **_sources(machine, instance, site_file, root=root),
    }
    texts, missing = _collect(sources, seconds)
    if not root:
        missing["status"] = "needs root"
    machine.interrupt()
    return _redacted(texts, missing, noted[0] if noted else None)


def write_bundle(machine: Machine, bundle: Bundle, path: str) -> None:
    """Write it as a gzip-compressed tar archive that only its owner can read.

    Raises :class:`~ouchi.core.errors.BadInput` where something has that name already, and when it cannot be written.
    """
    require_free(machine, path)
    folder = PurePath(path).name.removesuffix(".gz").removesuffix(".tar")
    members = []
    for name, content in sorted(bundle.files.items()):
        info = tarfile.TarInfo(f"{folder}/{name}")
        info.size, info.mode, info.mtime = len(content), 0o600, time.time()
        members.append((info, content))
    with _write_errors(path):
        machine.write(path, pack(members), mode=0o600)


def require_free(machine: Machine, path: str) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` where something has that name already, or cannot be looked at."""
    require_own(path)
    with _write_errors(path):
        kind = machine.kind(path)
    if kind:
        raise BadInput.of(
            "the file exists already", where=path, expected="a new file", remedy="--output with another name"
        )


@contextlib.contextmanager
def _write_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        raise BadInput.of(
            "the bundle cannot be written",
            where=path,
            found=reason.strerror or str(reason),
            remedy="ouchi support-bundle --output FILE, in a folder that you may write to",
        ) from None


def _sources(machine: Machine, instance: Instance, site_file: str, *, root: bool) -> dict[str, Source]:
    # Without root these may be in folders that it alone may look into.
    site, logs = site_file, list[str]()
    with contextlib.suppress(OSError):
        site = instance.kept_site if machine.exists(instance.kept_site) else site_file
    with contextlib.suppress(OSError):
        logs = [name for name in machine.entries(instance.logs) if name.endswith(".log")]
    sources: dict[str, Source] = {
        "doctor": partial(_doctor, machine, instance, site),
        "plan.json": lambda: {"plan.json": _json(plan_json(read_target(machine, site)))},
        "site.yaml": lambda: {"site.yaml": machine.read(site)},
        "journal of up": lambda: {"journal-up.json": machine.read(f"{instance.state}/journal.json")},
        "journal of apply": lambda: {"journal-apply.json": machine.read(f"{instance.host}/journal.json")},
        **{f"logs/{name}": partial(_tail, machine, f"{instance.logs}/{name}", f"logs/{name}") for name in logs},
    }
    if root:
        sources["status"] = partial(_status, machine, instance)
    if not logs:
        sources["logs"] = lambda: {"logs": machine.read(instance.logs)}
    return sources


def _host(machine: Machine, noted: list[tuple[Noted, str]]) -> dict[str, str]:
    """Read the host's facts; the snapshot is made of what was read."""
    reader: Reader = machine
    session = reader.probe("session").strip()
    recorder = Recorder(reader)
    facts = collect(recorder, session)
    noted.append((recorder.noted, session))
    return {"versions.json": _json(_versions(facts))}


def _versions(facts: Facts) -> dict[str, str]:
    """What a bug report names first; empty where it is not installed."""
    return {
        "ouchi": __version__,
        "python": platform.python_version(),
        "kernel": facts.system.kernel,
        "architecture": facts.system.architecture,
        "distribution": f"{facts.system.distribution.id} {facts.system.distribution.version}".strip(),
        "processor": facts.processor.model,
        "virtual": facts.system.virtual,
        "dpdk": facts.dpdk.release,
        "open_vswitch": facts.ovs_version,
        "openstack": RELEASE,
    }


def _status(machine: Machine, instance: Instance) -> dict[str, str]:
    status = read_status(Context(machine, instance, seconds=5.0))
    return {"status.json": _json(status.to_json()), "status.txt": status_text(status, WIDTH, colour=False)}


def _doctor(machine: Machine, instance: Instance, site: str) -> dict[str, str]:
    diagnosis = examine(machine, instance, lambda: read_target(machine, site))
    return {"doctor.json": _json(diagnosis.to_json()), "doctor.txt": doctor_text(diagnosis, WIDTH, colour=False)}


def _tail(machine: Machine, path: str, name: str) -> dict[str, str]:
    text = machine.run(("tail", "-c", str(TAIL), "--", path), timeout=10).stdout
    # The first line may be cut, and what is before a cut may be what shows that something is a secret.
    return {name: text if len(text.encode()) < TAIL else text.partition("\n")[2]}


def _collect(sources: Mapping[str, Source], seconds: float) -> tuple[dict[str, str], dict[str, str]]:
    """Read all sources in parallel; return texts by file name, and why others are missing.

    Those that have not come after ``seconds`` are missing.
    """
    texts: dict[str, str] = {}
    missing: dict[str, str] = {}

    def read(name: str, source: Source) -> None:
        try:
            texts.update(source())
        except FileNotFoundError as reason:
            missing[name] = f"there is none ({reason.filename})"
        except PermissionError as reason:
            missing[name] = f"needs root ({reason.strerror}: {reason.filename})"
        except OSError as reason:
            missing[name] = f"{reason.strerror or reason}: {reason.filename}"
        except OuchiError as reason:
            missing[name] = f"{reason.findings[0].claim}: {reason.findings[0].found}"
        except Exception as bug:  # noqa: BLE001  # a bug in one part must not take the others from its report
            missing[name] = f"a bug in ouchi: {type(bug).__name__}: {bug}"

    # Daemons: a thread that hangs must not keep ouchi from ending.
    threads = {}
    for name, source in sources.items():
        threads[name] = threading.Thread(target=read, args=(name, source), daemon=True)
        threads[name].start()
    end = time.monotonic() + seconds
    for name, thread in threads.items():
        thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            missing[name] = f"no answer within {seconds:g} s"
    return dict(texts), dict(missing)  # a late answer changes nothing any more


def _redacted(texts: Mapping[str, str], reasons: Mapping[str, str], host: tuple[Noted, str] | None) -> Bundle:
    """Replace what identifies the owner: in the snapshot first, so that its addresses are those of the texts."""
    redactor, files = Redactor(), dict[str, bytes]()
    if host:
        noted, session = host
        files["host.tar.gz"] = pack(snapshot_members(redactor.host(noted, session)))
    for name, text in sorted(texts.items()):
        files[name] = _without_identity(redactor, name, text).encode(errors="replace")
    missing = {name: redactor.text(reason) for name, reason in reasons.items()}
    manifest = _json(Bundle(files, missing).to_json()).encode()
    return Bundle({"manifest.json": manifest, **files}, missing)


def _without_identity(redactor: Redactor, name: str, text: str) -> str:
    if name.endswith(".json"):
        with contextlib.suppress(ValueError):
            return _json(redactor.json(json.loads(text)))
    return redactor.text(text)


def _register_secrets(machine: Machine, instance: Instance) -> None:
    """Passwords that ``up`` generated are replaced wherever they are; without root they cannot be read, nor can logs."""
    with contextlib.suppress(OSError, ValueError):
        secrets = json.loads(machine.read(f"{instance.state}/secrets.json"))
        add_secrets(value for value in secrets.values() if isinstance(value, str))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
