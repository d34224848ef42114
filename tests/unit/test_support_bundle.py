"""The support bundle: what is inside, that nothing in it is secret, and that it comes about on any host."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

import ouchi
from ouchi.core.errors import BadInput
from ouchi.core.instance import Instance
from ouchi.core.redact import hide_secrets
from ouchi.facts import collect
from ouchi.flows import support_bundle
from ouchi.flows.support_bundle import Bundle, collect_bundle, write_bundle
from ouchi.machine.local import LocalMachine
from ouchi.machine.snapshot import open_snapshot
from ouchi.machine.snapshot.redact import Redactor

SRC = Path(ouchi.__file__).parents[1]
PASSWORD = "correct-horse-battery"
GENERATED = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd6"

SECRETS = {
    PASSWORD: f"connecting with --password {PASSWORD} to the database",
    "s3cr3t;with,marks)": "admin_password = s3cr3t;with,marks)",
    "in quotes": 'auth: {"password": "in quotes", "user": "admin"}',
    "escaped-quotes": r'body: "{\"auth\": {\"password\": \"escaped-quotes\"}}"',
    "urlpassword": "transport_url = rabbit://ouchi:urlpassword@127.0.0.1:5672/",
    "sqlpassword": "create user 'nova'@'localhost' identified by 'sqlpassword';",
    "c29tZTpiYXNpYw==": "Authorization: Basic c29tZTpiYXNpYw==",
    "deadbeeftoken": 'REQ: curl -H "X-Auth-Token: deadbeeftoken" http://127.0.0.1:5000/v3',
    f"gAAAAAB{'k' * 80}": f"validated gAAAAAB{'k' * 80} for admin",
    "b3BlbnNzaC1rZXktdjE": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n-----END OPENSSH PRIVATE KEY-----",
    GENERATED: f"value {GENERATED} without a name beside it",
    "CZ1234ABCD": "dmidecode: Serial Number: CZ1234ABCD",
    "S4EVNX0M": "nvme0: serial=S4EVNX0M model=x",
    "3c:fd:fe:67:89:ab": "enp1s0: link up, address 3c:fd:fe:67:89:ab",
    "3cfdfe67": "renamed to enx3cfdfe6789ab",
    "5.168.2.9": "accepted a session from 5.168.2.9 port 22",
    "2a01:4f8:": "bind to [2a01:4f8:c17:1234::7]:9696",
    "6c0f3b1e": "instance 6c0f3b1e-1111-2222-3333-444455556666 spawned",
}
HARMLESS = "2026-11-30T12:30:45 ovs-vswitchd 0000:05:00.0 10.101.0.10 fe80::1 up; PMD on core 3; std::string"


class Where(NamedTuple):
    """What a bundle is about."""

    machine: LocalMachine
    instance: Instance
    site_file: str
    root: bool


@pytest.fixture
def where(tmp_path: Path) -> Where:
    """An installation that has run: logs, journals, a site, passwords."""
    instance = Instance(
        state=f"{tmp_path}/state", run=f"{tmp_path}/run", logs=f"{tmp_path}/logs", host=f"{tmp_path}/host"
    )
    for folder in ("state", "run", "logs", "host"):
        (tmp_path / folder).mkdir()
    (tmp_path / "state/secrets.json").write_text(json.dumps({"admin": GENERATED}))
    (tmp_path / "state/site.yaml").write_text("name: lab\nnetworks: []\nservers: []\n# password: in quotes\n")
    (tmp_path / "logs/nova-api.log").write_text("\n".join([HARMLESS, *SECRETS.values(), HARMLESS, ""]))
    (tmp_path / "logs/big.log").write_text("".join(f"line {number}\n" for number in range(100_000)))
    (tmp_path / "logs/other.txt").write_text("not a log")
    record = {"step": "x", "kind": "file", "key": "/etc/x", "before": "\n".join(SECRETS.values()), "then": []}
    record["after"] = {"password": PASSWORD, "token": GENERATED}
    journal = {"version": 2, "scope": "session", "records": [record], "notes": {}}
    for folder in ("state", "host"):
        (tmp_path / folder / "journal.json").write_text(json.dumps(journal))
    return Where(LocalMachine(), instance, str(tmp_path / "ouchi.yaml"), root=os.geteuid() == 0)


def everything(bundle: Bundle) -> str:
    """All texts of a bundle, those in the snapshot included."""
    texts = [content for name, content in bundle.files.items() if not name.endswith(".gz")]
    with tarfile.open(fileobj=io.BytesIO(bundle.files["host.tar.gz"])) as snapshot:
        for member in snapshot:
            texts.append(f"{member.name} {member.linkname}".encode())
            if member.isfile() and (content := snapshot.extractfile(member)):
                texts.append(content.read())
    return "\n".join(text.decode(errors="replace") for text in (*texts, json.dumps(bundle.to_json()).encode()))


def test_nothing_in_it_is_secret(where: Where) -> None:
    text = everything(collect_bundle(*where))
    assert [secret for secret in SECRETS if secret in text] == []
    assert text.count(HARMLESS) == 2
    assert "nova-api.log" in text


def test_what_is_inside(where: Where, tmp_path: Path) -> None:
    bundle = collect_bundle(*where)
    expected = {"manifest.json", "versions.json", "host.tar.gz", "site.yaml", "plan.json", "doctor.json", "doctor.txt"}
    expected |= {"journal-up.json", "journal-apply.json", "logs/nova-api.log", "logs/big.log"}
    expected |= {"status.json", "status.txt"} if where.root else set()
    assert bundle.files.keys() == expected, bundle.missing
    assert bundle.missing.keys() == (set() if where.root else {"status"})
    assert json.loads(bundle.files["versions.json"])["ouchi"] == ouchi.__version__
    assert json.loads(bundle.files["versions.json"])["kernel"] == os.uname().release
    assert json.loads(bundle.files["plan.json"])["pools"]["host"]
    assert json.loads(bundle.files["journal-up.json"])["records"][0]["after"]["password"] == "***"
    tail = bundle.files["logs/big.log"].decode()
    assert tail.endswith("line 99999\n")
    assert len(tail) <= support_bundle.TAIL
    assert tail.startswith("line ")  # no half a line
    assert json.loads(bundle.files["manifest.json"])["files"]["logs/big.log"] == len(tail)
    (tmp_path / "host.tar.gz").write_bytes(bundle.files["host.tar.gz"])
    assert collect(open_snapshot(tmp_path / "host.tar.gz")).cpus == collect(LocalMachine()).cpus


def test_an_address_is_the_same_in_all_files() -> None:
    redactor = Redactor()
    assert redactor.text("5.168.2.9 and 5.168.2.10") != redactor.text("5.168.2.9 and 5.168.2.9")
    first, second = redactor.text("a 3c:fd:fe:67:89:ab"), redactor.json({"mac": ["3C:FD:FE:67:89:AB"]})
    assert first.split()[1] == second["mac"][0] == "3c:fd:fe:00:00:01"
    uuids = [
        redactor.text(uuid)
        for uuid in ("6c0f3b1e-1111-2222-3333-444455556666", "7" * 8 + "-1111-1111-1111-" + "7" * 12)
    ]
    assert uuids == ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]
    assert redactor.text("6C0F3B1E-1111-2222-3333-444455556666") == uuids[0]


def test_written_for_its_owner_alone_and_never_over_another_file(where: Where, tmp_path: Path) -> None:
    bundle = Bundle({"manifest.json": b"{}", "logs/a.log": b"a"}, {})
    path = tmp_path / "ouchi-support.tar.gz"
    write_bundle(where.machine, bundle, str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["ouchi-support/logs/a.log", "ouchi-support/manifest.json"]
    with pytest.raises(BadInput, match="exists already"):
        write_bundle(where.machine, bundle, str(path))
    with pytest.raises(BadInput, match="cannot be written"):
        write_bundle(where.machine, bundle, str(tmp_path / "no-folder/file.tar.gz"))


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Set at the end of the test: threads that wait for it end then."""
    event = threading.Event()
    yield event
    event.set()


def test_what_hangs_is_missing_and_the_rest_is_there(
    where: Where, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: Any) -> dict[str, str]:
        hanging.wait(60)
        return {}

    monkeypatch.setattr(support_bundle, "examine", hang)
    os.mkfifo(f"{where.instance.logs}/pipe.log")
    begin = time.monotonic()
    bundle = collect_bundle(*where, seconds=5)
    assert time.monotonic() - begin < 10
    assert bundle.missing["doctor"] == "no answer within 5 s"
    assert bundle.missing["logs/pipe.log"] == "no answer within 5 s"
    assert {"logs/nova-api.log", "plan.json", "host.tar.gz"} <= bundle.files.keys()


def test_a_bug_in_one_part_is_told_in_its_place(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(support_bundle, "examine", fail)
    bundle = collect_bundle(*where)
    assert bundle.missing["doctor"] == "a bug in ouchi: ZeroDivisionError: division by zero"
    assert "plan.json" in bundle.files


def test_a_site_that_cannot_be_used(where: Where) -> None:
    Path(where.instance.state, "site.yaml").write_text("name: [\n")
    bundle = collect_bundle(*where)
    assert {"plan.json", "doctor"} <= bundle.missing.keys()
    assert bundle.files["site.yaml"] == b"name: [\n"


def test_no_text_takes_long_to_redact() -> None:
    begin = time.monotonic()
    for text in (
        "a-" * 65_000,
        "x" * 130_000,
        "password" * 16_000,
        "1." * 65_000,
        ":" * 130_000,
        "//" * 65_000,
        '"' * 130_000,
    ):
        Redactor().text(text)
    assert time.monotonic() - begin < 20
    assert hide_secrets("") == ""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ouchi", "support-bundle", *words]
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    return subprocess.run(argv, capture_output=True, text=True, cwd=folder, env=env, timeout=120, check=False)


def test_the_command(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 0, ended.stderr
    (made,) = tmp_path.glob("ouchi-support-*.tar.gz")
    assert str(made) in ended.stdout
    assert "host.tar.gz" in ended.stdout
    ended = run(tmp_path, "--json", "--output", "mine.tar.gz")
    contents = json.loads(ended.stdout)
    assert contents["path"] == str(tmp_path / "mine.tar.gz")
    with tarfile.open(contents["path"]) as archive:
        assert {name.removeprefix("mine/") for name in archive.getnames()} == contents["files"].keys()
    again = run(tmp_path, "--output", "mine.tar.gz")
    assert again.returncode == 2
    assert "exists already" in again.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_without_root() -> None:
    program = (
        "import os, sys; import ouchi.cli; import ouchi.flows.support_bundle, ouchi.cli.support_bundle; "
        "os.setgid(65534); os.setuid(65534); os.chdir(sys.argv[2]); "
        "sys.argv = ['ouchi', 'support-bundle', '--json']; sys.exit(ouchi.cli.main())"
    )
    with TemporaryDirectory() as folder:  # pytest's own is root's alone
        os.chmod(folder, 0o777)
        for status in (0, 2):
            argv = [sys.executable, "-c", program, "", folder if status == 0 else "/"]
            env = {"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin", "HOME": "/"}
            ended = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=120, check=False)
            assert ended.returncode == status, ended.stderr
            if status == 0:
                contents = json.loads(ended.stdout)
                assert contents["missing"]["status"] == "needs root"
                assert {"host.tar.gz", "versions.json", "plan.json"} <= contents["files"].keys()
            else:
                assert "the bundle cannot be written" in ended.stderr
