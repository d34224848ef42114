"""The dry run and the plan command: what would be done, without doing any of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import pytest

from ouchi.cli import main
from ouchi.core.errors import BadInput, Finding
from ouchi.core.events import Timeline
from ouchi.core.instance import Instance
from ouchi.flows.up import Up, dry_run
from ouchi.machine import Result
from ouchi.machine.local import LocalMachine
from ouchi.machine.reserved_ports import PORTS
from ouchi.machine.snapshot import SnapshotReader
from ouchi.parts import guest_image, mariadb, registry
from ouchi.parts.conflicts import conflicts
from ouchi.parts.context import Context
from ouchi.parts.hugepages import Hugepages
from ouchi.parts.part import PartState, missing
from ouchi.parts.stages import STAGES
from ouchi.parts.supervise import Service, ServiceState, ServiceStatus
from ouchi.plan.load import facts_of, target_of
from ouchi.plan.target import Target
from ouchi.report.preview import States, preview_json
from ouchi.site import read_sites
from ouchi.vnf.images.small import Image
from tests.hosts import folder

HOST = folder("ryzen-5-3600")

Run = Callable[..., int]


class ReadOnly(LocalMachine):
    """This machine, on which nothing may be changed."""

    def write(self, *_args: object, **_more: object) -> None:
        raise AssertionError("changed")

    make_folder = remove = poke = write  # type: ignore[assignment]


class Services:
    """A supervisor that only shows what runs."""

    kind = "supervisor"

    def __init__(self, *names: str) -> None:
        self._states = {name: ServiceState(name, ServiceStatus.RUNNING, 7) for name in names}

    def states(self) -> dict[str, ServiceState]:
        return self._states

    def defines(self, service: Service) -> bool:
        return service.name in self._states

    def start(self, services: object) -> list[str]:
        raise AssertionError("a dry run starts nothing")

    restart = stop = shutdown = log = start  # type: ignore[assignment]


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance("ouchi-unit-test", f"{tmp_path}/state", f"{tmp_path}/run", f"{tmp_path}/logs")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return target_of(str(tmp_path / "ouchi.yaml"), None, facts_of(SnapshotReader(HOST)))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``ouchi WORDS...`` in an empty folder; its exit status."""

    def run(*words: str) -> int:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["ouchi", *words])
        return main()

    return run


def at(instance: Instance, target: Target | None, *running: str, machine: LocalMachine | None = None) -> Context:
    return Context(machine or ReadOnly(), instance, target, seconds=1, chosen=Services(*running))


def by_task(states: States) -> dict[str, PartState]:
    return {task: state for (_, task), state in states.items()}


def test_every_task_of_up_is_shown_and_no_other(instance: Instance, target: Target) -> None:
    tasks = [(task.stage, task.name) for task in Up(LocalMachine(), instance, target, Timeline()).tasks()]
    states = dry_run(at(instance, target), STAGES[-1])
    assert list(states) == tasks
    stages = [stage for stage, _ in states]
    assert stages == sorted(stages, key=STAGES.index)


@pytest.mark.parametrize("until", STAGES)
def test_until_a_stage(instance: Instance, target: Target, until: str) -> None:
    shown = {stage for stage, _ in dry_run(at(instance, target), until)}
    assert shown == set(STAGES[: STAGES.index(until) + 1])


def test_a_fresh_machine(instance: Instance, target: Target, tmp_path: Path) -> None:
    states = by_task(dry_run(at(instance, target), STAGES[-1]))
    for task in ("openstack", "guest image", "plan", "hugetlbfs", "kvm", "mariadb", "nova", "networks", "verify"):
        assert states[task].to_do, states[task]
    assert states["plan"].to_do == f"write {tmp_path}/ouchi.yaml for this machine"
    assert states["nova-compute"].to_do == "start nova-conductor, nova-scheduler, nova-compute"
    assert states["networks"].to_do == "make left, right, endpoint-0, forwarder-0, forwarder-1"
    assert "10.102.0.2/24 on VLAN 102" in states["endpoints"].to_do
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(instance: Instance, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image(PurePath(instance.cache) / "images/guest-0123.img", "0123", 1, reused=True)
    monkeypatch.setattr(Context, "planned_image", image)
    for path, text in {
        f"{instance.run}/kvm.json": '[false, "there is no /dev/kvm"]',
        f"{instance.openstack}/ouchi-ready": "of another version",
        f"{instance.openstack}/ouchi-libvirt": "3.11",
        f"{instance.cache}/images/guest-0123.img": "",
        f"{instance.state}/mariadb/mysql/user.frm": "",
        f"{instance.etc}/mariadb.cnf": mariadb.configuration(instance),
    }.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    class Loaded(ReadOnly):
        def run(self, argv: Sequence[str], **more: object) -> Result:
            if argv[0] == "mariadb":
                return Result(tuple(argv), 0, "\n".join(registry.schemas()), "")
            return super().run(argv, **more)  # type: ignore[arg-type]

    states = by_task(dry_run(at(instance, target, "mariadb", "epmd", machine=Loaded()), STAGES[-1]))
    for task in ("libvirt binding", "guest image", "kvm", "mariadb"):
        assert (states[task].ok, states[task].to_do) == (True, ""), states[task]
    assert states["kvm"].found == "there is no /dev/kvm: emulation (TCG)"
    assert states["openstack"].to_do.startswith("install OpenStack")
    assert states["rabbitmq"].to_do == "start epmd, rabbitmq"
    # The databases are there, so what they hold may be as well; only the cloud knows.
    assert states["servers"].ok is None
    assert "endpoint, forwarder" in states["servers"].to_do


def test_what_only_root_may_read_is_unknown(instance: Instance, target: Target) -> None:
    class Forbidden(ReadOnly):
        def read(self, path: object) -> str:
            if str(path).startswith(instance.state):
                raise PermissionError(13, "Permission denied", str(path))
            return super().read(path)  # type: ignore[arg-type]

    Path(instance.state).mkdir()
    (Path(instance.state) / "secrets.json").write_text("{}")
    states = by_task(dry_run(at(instance, target, machine=Forbidden()), STAGES[-1]))
    assert (states["keystone"].ok, states["keystone"].found) == (
        None,
        f"only root may read {instance.state}/secrets.json",
    )


def test_every_listener_has_a_port_of_its_own_that_the_kernel_keeps_for_root() -> None:
    ports = [listener.port for part in registry.all_parts() for listener in part.ports]
    assert len(ports) == len(set(ports)) >= 8
    assert set(ports) <= set(PORTS)


def test_what_is_in_the_way_is_found(instance: Instance, target: Target) -> None:
    class Busy(ReadOnly):
        def exists(self, path: object) -> bool:  # whatever network devices this machine has
            return not str(path).startswith("/sys/class/net/") and super().exists(path)  # type: ignore[arg-type]

        def run(self, argv: Sequence[str], **more: Any) -> Result:
            if argv[0] == "sh":  # reads files
                return LocalMachine().run(argv, **more)
            listener = 'LISTEN 0 128 127.0.0.1:290 0.0.0.0:* users:(("python3",pid=7,fd=3))'
            text = {"df": "Filesystem\n/dev/a 1 1 100 1% /var\n", "ss": listener}.get(argv[0])
            return Result(tuple(argv), 0, text or "", "")

    def found(*running: str) -> list[Finding]:
        return conflicts(at(instance, target, *running, machine=Busy()), registry.all_parts())

    findings = found()
    assert [finding.claim for finding in findings][:2] == ["port 290 is already taken", "the disk is too full"]
    assert findings[0].found == "python3 (process 7)"
    assert [finding.claim for finding in found("keystone-api", "ovs-vswitchd")] == ["the disk is too full"]


def test_hugepages(instance: Instance, target: Target) -> None:
    (need,) = target.plan.hugepages

    class Counted(ReadOnly):
        have = 0

        def exists(self, path: object) -> bool:
            return str(path).endswith("_hugepages") or super().exists(path)  # type: ignore[arg-type]

        def read(self, path: object) -> str:
            return f"{self.have}\n" if str(path).endswith("_hugepages") else super().read(path)  # type: ignore[arg-type]

    Path(instance.state).mkdir()
    record = ["hugepages", f"0:{need.size_kib}", {"before": 5, "ours": need.count, "reserved": True}]
    Path(instance.state, "journal.json").write_text(json.dumps([record]))
    part = Hugepages()
    Counted.have = need.count + 5
    assert part.look(at(instance, target, machine=Counted())).ok
    Counted.have = need.count - 1
    few = part.look(at(instance, target, machine=Counted()))
    assert (few.ok, few.state) == (False, "too few")
    assert few.to_do == f"reserve {need.count} pages of 2048 KiB on node 0"
    assert f"{need.count - 1} of 2 MiB" in few.found


def test_hugepages_that_were_set_aside_at_boot_are_not_reserved_again(instance: Instance, target: Target) -> None:
    """S2: the dry run announced a reservation where ``up`` does nothing."""
    (need,) = target.plan.hugepages
    parameters = (*target.facts.boot.parameters, *target.plan.kernel_args)
    booted = replace(target, facts=replace(target.facts, boot=replace(target.facts.boot, parameters=parameters)))

    class Free(ReadOnly):
        def exists(self, path: object) -> bool:
            return str(path).endswith("_hugepages") or super().exists(path)  # type: ignore[arg-type]

        def read(self, path: object) -> str:
            return f"{need.count}\n" if str(path).endswith("_hugepages") else super().read(path)  # type: ignore[arg-type]

    assert Hugepages().look(at(instance, booted, machine=Free())).to_do == ""
    assert Hugepages().look(at(instance, target, machine=Free())).to_do != ""


def test_json(instance: Instance, target: Target) -> None:
    states = dry_run(at(instance, target), "host")
    found = json.loads(json.dumps(preview_json(target, states, ())))
    assert found["site_file_is_new"] is True
    assert found["plan"] == target.plan.to_json()
    (plan,) = [task for task in found["tasks"] if task["task"] == "plan"]
    assert (plan["stage"], plan["would"]) == ("plan", "change")


# --- the plan that all of it begins with


def test_the_plan_of_a_snapshot(target: Target) -> None:
    assert target.new
    assert target.plan.pools.pmd == (1, 7)
    assert target.site.name == target.facts.system.hostname == "home"
    assert target.bridges == {"physnet1": "br-physnet1"}
    assert not any("sleep" in key for key in target.plan.ovs_other_config)


def test_a_site_file_is_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "ouchi.yaml"
    file.write_text("name: a\nnetworks: []\nservers: []\nnics: [{nic: enp6s0, physnet: a}]\n")
    with pytest.raises(BadInput, match="default route"):
        target_of(str(file), read_sites(ReadOnly(), str(file))[0], facts_of(SnapshotReader(HOST)))


def test_plan_without_a_site_file_writes_none(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--json", "--snapshot", str(HOST)) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["pools"]["pmd"] == [1, 7]
    assert output.err == "ouchi.yaml does not exist: planning with the one that ouchi up would write\n"
    assert list(tmp_path.iterdir()) == []


def test_plan_of_a_bad_site_file(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.yaml").write_text("name: Bad Name\nvlan: 1\nnetworks: []\nservers: []\n")
    assert run("plan", "--site", "site.yaml", "--snapshot", str(HOST)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "site.yaml:1:" in output.err
    assert "site.yaml:2:" in output.err


def test_inspect(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", "--json", "--snapshot", str(HOST)) == 0
    assert json.loads(capsys.readouterr().out)["cpus"][6]["siblings"] == [0, 6]
    assert run("inspect") == 0
    assert "CPUs" in capsys.readouterr().out
    assert run("inspect", "--snapshot", str(tmp_path / "nowhere")) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_image_of_an_earlier_kernel_is_announced_and_not_unhealthy(
    instance: Instance, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(instance.cache) / "images"
    at = Context(ReadOnly(), instance, target)

    def looked(key: str) -> PartState:
        image = Image(folder / f"guest-{key}.img", key, 0, reused=(folder / f"guest-{key}.img").exists())
        monkeypatch.setattr(Context, "planned_image", image)
        return guest_image.GuestImage().look(at)

    assert looked("new") == missing("build the guest image from the distribution's packages", state="not built")
    folder.mkdir(parents=True)
    (folder / "guest-old.img").touch()
    assert (looked("old").ok, looked("old").to_do) == (True, "")
    assert (looked("new").ok, "anew" in looked("new").to_do) == (True, True)
