"""The dry run and the plan command: what would be done, told without doing any of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ouchi.cli import main
from ouchi.core.errors import BadInput
from ouchi.core.instance import Instance
from ouchi.flows.preview import Ahead, Intent, Will, _intent
from ouchi.flows.up import Up
from ouchi.machine import Result
from ouchi.machine.local import LocalMachine
from ouchi.machine.snapshot import SnapshotReader
from ouchi.parts.stages import STAGES
from ouchi.parts.supervise import State, Status
from ouchi.plan.load import read_target
from ouchi.plan.target import Target, bridges_of
from ouchi.report.preview import preview_json
from ouchi.steps.journal import Journal
from tests.hosts import folder

HOST = folder("ryzen-5-3600")

Run = Callable[..., int]


class ReadOnly(LocalMachine):
    """This machine, on which nothing may be changed."""

    def write(self, *_args: object, **_more: object) -> None:
        raise AssertionError("changed")

    make_folder = remove = poke = write  # type: ignore[assignment]


class Services:
    """A supervisor that only says what runs."""

    kind = "supervisor"

    def __init__(self, *names: str) -> None:
        self._states = {name: State(name, Status.RUNNING, 7) for name in names}

    def states(self) -> dict[str, State]:
        return self._states

    def start(self, services: object) -> list[str]:
        raise AssertionError("a dry run starts nothing")

    restart = stop = shutdown = log = start  # type: ignore[assignment]


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance("ouchi-unit-test", f"{tmp_path}/state", f"{tmp_path}/run", f"{tmp_path}/logs")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return read_target(ReadOnly(), str(tmp_path / "ouchi.yaml"), SnapshotReader(HOST))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``ouchi WORDS...`` in an empty folder; its exit status."""

    def run(*words: str) -> int:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["ouchi", *words])
        return main()

    return run


def by_task(intents: list[Intent]) -> dict[str, Intent]:
    return {intent.task: intent for intent in intents}


def test_every_task_of_up_is_told_and_no_other(instance: Instance, target: Target) -> None:
    tasks = {(task.stage, task.name) for task in Up.tasks(object.__new__(Up))}
    intents = Ahead(ReadOnly(), instance, Services(), target, root=True).intents()
    assert {(intent.stage, intent.task) for intent in intents} == tasks
    assert len(intents) == len(tasks)
    assert [intent.stage for intent in intents] == sorted((i.stage for i in intents), key=STAGES.index)


@pytest.mark.parametrize("until", STAGES)
def test_until_a_stage(instance: Instance, target: Target, until: str) -> None:
    intents = Ahead(ReadOnly(), instance, Services(), target, root=True).intents(until)
    told = {intent.stage for intent in intents}
    assert told == set(STAGES[: STAGES.index(until) + 1])


def test_a_fresh_machine(instance: Instance, target: Target, tmp_path: Path) -> None:
    ahead = by_task(Ahead(ReadOnly(), instance, Services(), target, root=True).intents())
    for task in ("openstack", "guest image", "pools and memory", "hugetlbfs", "kvm", "mariadb", "nova", "networks"):
        assert ahead[task].will is Will.CHANGE, ahead[task]
    assert ahead["pools and memory"].text == f"write {tmp_path}/ouchi.yaml for this machine"
    assert ahead["apis"].text == "start placement-api, glance-api, nova-api, neutron-api"
    assert ahead["networks"].text == "make left, right, endpoint-0, forwarder-0, forwarder-1"
    assert "10.102.0.2/24 on VLAN 102" in ahead["endpoints"].text
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(instance: Instance, target: Target) -> None:
    for path, text in {
        f"{instance.run}/kvm.json": '[false, "there is no /dev/kvm"]',
        f"{instance.openstack}/ouchi-ready": "of another version",
        f"{instance.openstack}/ouchi-libvirt": "3.11",
        f"{instance.cache}/images/guest-0123.img": "",
        f"{instance.etc}/nova/nova.conf": "",
        f"{instance.state}/mariadb/ibdata1": "",
    }.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    Journal(LocalMachine(), instance.state).note("clouds", "/etc/openstack/clouds.yaml", {"before": None})
    ahead = by_task(Ahead(ReadOnly(), instance, Services("mariadb", "epmd"), target, root=True).intents())
    for task in ("libvirt binding", "guest image", "kvm", "mariadb", "settings", "configuration"):
        assert ahead[task].will is Will.NOTHING, ahead[task]
    assert ahead["kvm"].text == "there is no /dev/kvm: emulation (TCG)"
    assert ahead["openstack"].text.startswith("install OpenStack into")
    assert ahead["rabbitmq"].text == "start rabbitmq"
    # The databases are there, so what they hold may be as well; only the cloud knows.
    assert ahead["servers"].will is Will.UNKNOWN
    assert "endpoint, forwarder" in ahead["servers"].text


def test_without_root_what_only_root_sees_is_said(instance: Instance, target: Target) -> None:
    Path(instance.run).mkdir()
    ahead = Ahead(ReadOnly(), instance, Services(), target, root=False)
    told = by_task(ahead.intents())["mariadb"]
    assert (told.will, told.text) == (Will.UNKNOWN, "only root sees whether mariadb run")
    assert ahead.in_the_way() == []  # our own services would be taken for somebody else's

    def forbidden() -> tuple[Will, str]:
        raise PermissionError(13, "Permission denied", "/var/lib/ouchi/journal.json")

    told = _intent("host", "hugepages", forbidden)
    assert (told.will, told.text) == (Will.UNKNOWN, "only root may read /var/lib/ouchi/journal.json")


def test_what_is_in_the_way_is_found(instance: Instance, target: Target) -> None:
    class Busy(ReadOnly):
        def exists(self, path: object) -> bool:  # whatever network devices this machine has
            return not str(path).startswith("/sys/class/net/") and super().exists(path)  # type: ignore[arg-type]

        def run(self, argv: Sequence[str], **_more: object) -> Result:
            listener = 'LISTEN 0 128 127.0.0.1:5000 0.0.0.0:* users:(("python3",pid=7,fd=3))'
            said = {"df": "Filesystem\n/dev/a 1 1 100 1% /var\n", "ss": listener}.get(argv[0])
            return Result(tuple(argv), 0, said or "", "")

    findings = Ahead(Busy(), instance, Services(), target, root=True).in_the_way()
    assert [finding.claim for finding in findings][:2] == ["the disk is too full", "port 5000 is already taken"]
    assert findings[1].found == "python3 (process 7)"
    ours = Ahead(Busy(), instance, Services("keystone-api", "ovs-vswitchd"), target, root=True).in_the_way()
    assert [finding.claim for finding in ours] == ["the disk is too full"]


def test_hugepages(instance: Instance, target: Target) -> None:
    (need,) = target.plan.hugepages

    class Counted(ReadOnly):
        have = 0

        def read(self, path: object) -> str:
            return f"{self.have}\n" if str(path).endswith("/nr_hugepages") else super().read(path)  # type: ignore[arg-type]

    Path(instance.state).mkdir()
    Journal(LocalMachine(), instance.state).note(
        "hugepages", f"0:{need.size_kib}", {"before": 5, "ours": need.count, "reserved": True}
    )
    ahead = Ahead(Counted(), instance, Services(), target, root=True)
    Counted.have = need.count + 5
    assert ahead.hugepages()[0] is Will.NOTHING
    Counted.have = need.count - 1
    assert ahead.hugepages() == (
        Will.CHANGE,
        f"reserve node 0: {need.count} pages of 2048 KiB; there are {need.count - 1}",
    )


def test_json(instance: Instance, target: Target) -> None:
    intents = Ahead(ReadOnly(), instance, Services(), target, root=True).intents("host")
    found = json.loads(json.dumps(preview_json(target, intents, ())))
    assert found["schema"] == 1
    assert found["site_file_is_new"] is True
    assert found["plan"] == target.plan.to_json()
    assert {"stage": "plan", "task": "pools and memory", "will": "change"}.items() <= found["tasks"][6].items()


# --- the plan that all of it begins with


def test_the_plan_of_a_snapshot(target: Target) -> None:
    assert target.new
    assert target.plan.pools.pmd == (1, 7)
    assert target.site.name == target.facts.system.hostname == "home"
    assert bridges_of(target.site) == {"physnet1": "br-physnet1"}
    assert not any("sleep" in key for key in target.plan.ovs_other_config)


def test_a_site_file_is_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "ouchi.yaml"
    file.write_text("name: a\nnetworks: []\nservers: []\nnics: [{nic: enp6s0, physnet: a}]\n")
    with pytest.raises(BadInput, match="default route"):
        read_target(ReadOnly(), str(file), SnapshotReader(HOST))


def test_plan_without_a_site_file_writes_none(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--json", "--snapshot", str(HOST)) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["pools"]["pmd"] == [1, 7]
    assert said.err == "there is no ouchi.yaml: this is for the one that ouchi up would write\n"
    assert list(tmp_path.iterdir()) == []


def test_plan_of_a_bad_site_file(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.yaml").write_text("name: Bad Name\nvlan: 1\nnetworks: []\nservers: []\n")
    assert run("plan", "--site", "site.yaml", "--snapshot", str(HOST)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "site.yaml:1:" in said.err
    assert "site.yaml:2:" in said.err


def test_inspect(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", "--json", "--snapshot", str(HOST)) == 0
    assert json.loads(capsys.readouterr().out)["cpus"][6]["siblings"] == [0, 6]
    assert run("inspect") == 0
    assert "CPUs" in capsys.readouterr().out
    assert run("inspect", "--snapshot", str(tmp_path / "nowhere")) == 2
    assert list(tmp_path.iterdir()) == []
