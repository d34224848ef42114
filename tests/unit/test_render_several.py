"""Several hosts rendered at once: one deployment, a folder for each host, and nothing of another host overwritten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ouchi.cli.render import _written
from ouchi.core.errors import BadInput, Unhealthy
from ouchi.flows.hosts import Job, results_of
from ouchi.machine.local import LocalMachine
from ouchi.plan.target import Target
from ouchi.render.files import Rendered, host_of
from ouchi.render.targets import DEPLOYMENTS, TARGETS, render, render_several
from tests.rack import rack, small

SHARED = ("inventory/ouchi.ini", "globals.d/90-ouchi.yml", "ml2_conf.ini", "nova-scheduler.conf", "conf.d/ouchi.yml", "user_variables_ouchi.yml")  # fmt: skip


def named(target: Target, name: str) -> Target:
    return replace(target, site=target.site.model_copy(update={"name": name}))


HOSTS = named(small(), "cellar"), named(rack(), "attic")


def files_of(hosts: tuple[Target, ...], names: tuple[str, ...] = tuple(TARGETS)) -> dict[str, Rendered]:
    return {f"{name}/{file.path}": file for name, made in render_several(hosts, names).items() for file in made}


def test_no_file_of_one_host_has_the_path_of_anothers() -> None:
    files = files_of(HOSTS)
    assert len(files) == sum(len(made) for made in render_several(HOSTS, TARGETS).values())
    for path, file in files.items():
        if path.split("/")[0] in DEPLOYMENTS:
            assert (host_of(file.text) == "cellar, attic") is path.endswith(SHARED), path
        else:
            assert host_of(file.text) in ("", path.split("/")[0])


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.site.name)
def test_what_belongs_to_a_host_is_as_alone(host: Target) -> None:
    together = files_of(HOSTS)
    for name, made in render(host, TARGETS).items():
        for file in made:
            path = file.path.replace("after-deploy.sh", f"after-deploy/{host.site.name}.sh")
            if not path.endswith(SHARED):
                folder = name if name in DEPLOYMENTS else f"{host.site.name}/{name}"
                assert together[f"{folder}/{path}"].text == file.text


def test_the_inventory_has_all_hosts() -> None:
    text = files_of(HOSTS, ("kolla-ansible",))["kolla-ansible/inventory/ouchi.ini"].text
    groups = dict(part.split("]\n", 1) for part in text.split("\n[")[1:])
    assert groups["compute"].split() == ["cellar", "attic"]
    assert groups["control"].split() == ["cellar"]


def test_what_all_share_covers_each_of_them() -> None:
    """The first host has no NIC and one physnet less than the second."""
    files = files_of(HOSTS, DEPLOYMENTS)
    found = YAML(typ="safe").load(files["kolla-ansible/etc/kolla/globals.d/90-ouchi.yml"].text)
    assert found["enable_neutron_sriov"] is True
    assert found["neutron_physical_networks"].split(",") == list(rack().bridges)
    assert "PciPassthroughFilter" in files["kolla-ansible/etc/kolla/config/nova/nova-scheduler.conf"].text
    hosts = YAML(typ="safe").load(files["openstack-ansible/etc/openstack_deploy/conf.d/ouchi.yml"].text)
    assert set(hosts["compute_hosts"]) == {"cellar", "attic"}


def test_a_file_for_another_host_is_not_replaced(tmp_path: Path) -> None:
    def write(*hosts: Target) -> list[str]:
        return list(_written(LocalMachine(), str(tmp_path), files_of(hosts, ("kolla-ansible",))))

    write(HOSTS[0])
    before = (tmp_path / "kolla-ansible/inventory/ouchi.ini").read_text()
    assert all(line.endswith("unchanged") for line in write(HOSTS[0]))
    with pytest.raises(BadInput, match="a file for another host exists") as caught:
        write(HOSTS[1])
    assert "one for cellar" in str(caught.value)
    assert (tmp_path / "kolla-ansible/inventory/ouchi.ini").read_text() == before
    assert not (tmp_path / "kolla-ansible/inventory/host_vars/attic.yml").exists()


def job(name: str, work: Callable[[], int]) -> Job[int]:
    return Job(name, "", work, lambda: None)


def test_a_host_that_fails_is_named() -> None:
    def fail() -> int:
        raise Unhealthy.of("it is off", where="power")

    assert results_of([job("attic", lambda: 1), job("cellar", lambda: 2)]) == [1, 2]
    with pytest.raises(Unhealthy, match="cellar: power: it is off"):
        results_of([job("attic", lambda: 1), job("cellar", fail)])
