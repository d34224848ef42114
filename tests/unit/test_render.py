"""Rendering: what is written, where it goes, and what is never written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from ouchi.cli import main
from ouchi.core.errors import BadInput
from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.parts.context import Context
from ouchi.parts.ovs import Ovs
from ouchi.plan import Style
from ouchi.plan.target import Target
from ouchi.plan.values import mask
from ouchi.render.files import MARK, ours
from ouchi.render.targets import TARGETS, render
from tests.hosts import CASES, folder
from tests.plans import target_of
from tests.rack import rack, small

SOURCE = Path(__file__).parents[2] / "src"


def texts(target: Target, name: str) -> dict[str, str]:
    return {file.path: file.text for file in render(target, [name])[name]}


def commands(script: str) -> list[list[str]]:
    """The commands of a script as words."""
    return [shlex.split(line, comments=True) for line in script.splitlines() if shlex.split(line, comments=True)]


def columns(argv: list[str], column: str) -> dict[str, str]:
    """The keys that an ovs-vsctl command sets in a map."""
    found = [re.fullmatch(rf'{column}:([\w-]+)="(.*)"', word) for word in argv]
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize(
    "target", [rack(), rack(""), small(), small("")], ids=["rack", "rack-no-ovs", "small", "plain"]
)
def test_every_file_says_what_it_is(target: Target) -> None:
    for name, files in render(target, TARGETS).items():
        assert files, name
        assert len({file.path for file in files}) == len(files)
        for file in files:
            assert MARK in "\n".join(file.text.splitlines()[:3]), file.path
            assert "rack7" in file.text
            assert ours(file.text)
            assert file.text.endswith("\n")
            assert not file.path.startswith("/")
            assert ".." not in Path(file.path).parts
            assert file.mode == (0o755 if file.path.endswith(".sh") else 0o600 if "netplan" in file.path else 0o644)


def test_nothing_is_lost_between_targets() -> None:
    assert list(render(rack(), ["ovs", "kernel", "ovs"])) == ["ovs", "kernel"]


@pytest.mark.skipif(not shutil.which("dash"), reason="dash is Debian's sh")
@pytest.mark.parametrize("target", [rack(), rack(""), small()], ids=["rack", "rack-no-ovs", "small"])
def test_scripts_are_posix(target: Target) -> None:
    scripts = [file for files in render(target, TARGETS).values() for file in files if file.path.endswith(".sh")]
    assert len(scripts) == 7
    for file in scripts:
        assert file.text.startswith("#!/bin/sh\n")
        assert "\nset -eu\n" in file.text
        done = subprocess.run(["dash", "-n"], input=file.text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), file.path


def test_kernel_drop_in_adds_to_what_is_there(tmp_path: Path) -> None:
    target = rack()
    path = tmp_path / "90-ouchi.cfg"
    path.write_text(texts(target, "kernel")["etc/default/grub.d/90-ouchi.cfg"])
    for before in ("", "quiet console=ttyS0"):
        words = ["sh", "-euc", '. "$1"; printf %s "$GRUB_CMDLINE_LINUX"', "sh", str(path)]
        environment = {"PATH": os.environ["PATH"], **({"GRUB_CMDLINE_LINUX": before} if before else {})}
        output = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
        assert output.split() == [*before.split(), *target.plan.kernel_args]
    assert "isolcpus=domain,managed_irq,1,3-23,25,27-47" in target.plan.kernel_args
    without = replace(target, plan=replace(target.plan, kernel_args=()))
    assert "GRUB_CMDLINE" not in texts(without, "kernel")["etc/default/grub.d/90-ouchi.cfg"]


def test_systemd_keeps_services_on_the_host_pool() -> None:
    files = texts(rack(), "systemd")
    assert "[Manager]\nCPUAffinity=0 2 24 26\n" in files["etc/systemd/system.conf.d/90-ouchi.conf"]
    assert files["etc/systemd/system/ovs-vswitchd.service.d/90-ouchi.conf"].endswith(
        "[Service]\nCPUAffinity=\nCPUAffinity=0 2 24 26\n"
    )
    assert files["etc/modules-load.d/90-ouchi.conf"].endswith("\nvfio-pci\n")
    assert "vfio" not in texts(small(), "systemd")["etc/modules-load.d/90-ouchi.conf"]


def test_the_main_thread_of_open_vswitch_is_where_there_is_memory() -> None:
    """DPDK makes the data that all ports share on its node; CPU 0's node has none here."""
    target = target_of("threadripper-3960x-memoryless")
    unit = texts(target, "systemd")["etc/systemd/system/ovs-vswitchd.service.d/90-ouchi.conf"]
    assert unit.endswith("[Service]\nCPUAffinity=\nCPUAffinity=6 30\n")
    _, switch = Ovs().services(Context(LocalMachine(), Instance(), target))
    assert switch.argv[:4] == ("/usr/bin/taskset", "--cpu-list", "6,30", "/var/lib/ouchi/etc/ovs/ovs-vswitchd")
    kolla = texts(target, "kolla-ansible")["after-deploy.sh"]
    assert f"other_config:dpdk-lcore-mask={mask(target.switch_cpus)}" in kolla
    assert "remove Open_vSwitch . other_config dpdk-lcore-mask" in texts(rack(), "kolla-ansible")["after-deploy.sh"]
    _, usual = Ovs().services(Context(LocalMachine(), Instance(), rack()))
    assert usual.argv[0] == "/var/lib/ouchi/etc/ovs/ovs-vswitchd"


def test_ovs_script_is_the_plan() -> None:
    target = rack()
    found = commands(texts(target, "ovs")["ovs.sh"])
    settings: dict[str, str] = {}
    for argv in found:
        settings |= columns(argv, "other_config") if "Open_vSwitch" in argv else {}
    assert target.plan.ovs_other_config.items() <= settings.items()
    assert settings["dpdk-extra"] == "-a 0000:af:00.0"
    assert not any(word == "-w" for argv in found for word in argv)
    bridges = [argv[argv.index("add-br") + 1] for argv in found if "add-br" in argv]
    assert bridges == ["br-int", "br-physnet1", "br-physnet2"]
    assert all("datapath_type=netdev" in argv for argv in found if "add-br" in argv)
    [port] = [argv for argv in found if "add-port" in argv]
    assert port[port.index("add-port") + 1 :][:2] == ["br-physnet1", "dpdk0"]
    assert columns(port, "options") == {"dpdk-devargs": "0000:af:00.0", "n_rxq": "4"}
    assert "mtu_request=9000" in port  # the larger of the physnet's two networks


def test_pinned_queues_leave_their_threads_to_the_guests() -> None:
    """A PMD thread with a pinned queue would poll nothing else; the guests' ports would be left without any."""
    text = texts(rack("3.1.0"), "ovs")["ovs.sh"]
    assert '"0:1,1:3,2:25,3:27"' in text
    assert 'pmd-rxq-isolate="false"' in text
    assert 'pmd-rxq-assign="group"' in text  # pmd-rxq-isolate means something with this one only
    for version in ("", "2.15.0"):
        text = texts(rack(version), "ovs")["ovs.sh"]
        lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        assert "pmd-rxq" not in lines
        assert 'n_rxq="4"' in lines


@pytest.mark.parametrize(
    ("version", "key"),
    [("3.1.0", "pmd-maxsleep"), ("3.1.2", "pmd-maxsleep"), ("3.3.4", "pmd-sleep-max"), ("4.0.0", "pmd-sleep-max")],
)
def test_names_follow_the_version(version: str, key: str) -> None:
    text = texts(small(version), "ovs")["ovs.sh"]
    assert re.findall(r"pmd-(?:maxsleep|sleep-max)", text) == [key]
    assert f"For Open vSwitch {version}." in text
    assert 'dpdk-extra="--no-pci"' in text


@pytest.mark.parametrize("version", ["", "3.0.1"])
def test_a_key_of_an_unknown_version_is_left_out_and_said(version: str) -> None:
    text = texts(small(version), "ovs")["ovs.sh"]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert not any("sleep" in line for line in lines)
    assert ("is not known" in text) is (version == "")


def test_nova_has_the_plan_and_only_the_plan_names_nics() -> None:
    target = rack()
    files = texts(target, "nova")
    compute = files["compute/etc/nova/nova.conf.d/90-ouchi.conf"]
    assert compute.count("reserved_huge_pages = ") == 2
    parser = ConfigParser(strict=False)
    parser.read_string(compute)
    assert parser["compute"]["cpu_dedicated_set"] == "4-23,28-47"
    assert parser["pci"]["device_spec"] == '{"address": "0000:af:00.1", "physical_network": "physnet2"}'
    assert (parser["libvirt"]["rx_queue_size"], parser["libvirt"]["tx_queue_size"]) == ("1024", "1024")
    assert "vcpu_pin_set" not in compute
    scheduler = files["scheduler/etc/nova/nova.conf.d/90-ouchi.conf"]
    assert "NUMATopologyFilter" in scheduler
    assert "PciPassthroughFilter" in scheduler
    assert "Pci" not in texts(small(), "nova")["scheduler/etc/nova/nova.conf.d/90-ouchi.conf"]


def test_neutron_for_both_agents() -> None:
    files = texts(rack(), "neutron")
    ovn = files["ovn/etc/neutron/neutron.conf.d/90-ouchi.conf"]
    assert "mechanism_drivers = ovn,sriovnicswitch" in ovn
    assert "network_vlan_ranges = physnet1:101:102" in ovn
    assert "physical_network_mtus = physnet1:9000,physnet2:1500" in ovn
    assert 'ovn-bridge-datapath-type="netdev"' in files["ovn/external-ids.sh"]
    agent = files["ovs-agent/etc/neutron/neutron-openvswitch-agent.conf.d/90-ouchi.conf"]
    assert "datapath_type = netdev" in agent
    assert not any(path.startswith("sriov/") for path in texts(small(), "neutron"))


def test_flavors_are_made_once_for_each_shape() -> None:
    text = texts(rack(), "flavors")["flavors.sh"]
    created = [argv for argv in commands(text) if argv[:3] == ["openstack", "flavor", "create"]]
    assert [argv[-1] for argv in created] == ["ouchi.pinned.8c.8192m", "ouchi.shared.2c.1024m"]
    pinned, shared = (argv for argv in commands(text) if argv[:3] == ["openstack", "flavor", "set"])
    assert "hw:cpu_policy=dedicated" in pinned
    assert "hw:emulator_threads_policy=share" in pinned
    assert "hw:cpu_policy=dedicated" not in shared
    for argv in (pinned, shared):
        assert "hw:mem_page_size=large" in argv


def test_domain_has_the_cpus_of_the_plan() -> None:
    target = rack()
    guest = next(guest for guest in target.plan.guests if guest.name == "forwarder")
    domain = ET.fromstring(texts(target, "libvirt")["forwarder.xml"])
    pins = {int(pin.attrib["vcpu"]): int(pin.attrib["cpuset"]) for pin in domain.iterfind("cputune/vcpupin")}
    assert pins == dict(enumerate(guest.cpus))
    assert [pin.attrib["cpuset"] for pin in domain.iterfind("cputune/emulatorpin")] == ["0,2,24,26"]
    assert [memory.attrib["nodeset"] for memory in domain.iterfind("numatune/memory")] == [str(guest.node)]
    [topology] = domain.iterfind("cpu/topology")
    siblings = {cpu.id: cpu.siblings for cpu in target.facts.cpus}
    assert topology.attrib["threads"] == ("2" if guest.cpus[1] in siblings[guest.cpus[0]] else "1")
    sockets = [source.attrib["path"] for source in domain.iterfind("devices/interface/source")]
    ports = texts(target, "libvirt")["ports.sh"]
    assert len(sockets) == 2
    assert all(f'vhost-server-path="{socket}"' in ports for socket in sockets)
    assert len(re.findall("add-port", ports)) == 3


def test_domain_of_an_unpinned_server() -> None:
    domain = ET.fromstring(texts(rack(), "libvirt")["endpoint.xml"])
    assert {pin.attrib["cpuset"] for pin in domain.iterfind("cputune/vcpupin")} == {"0,2,24,26"}
    assert [cell.attrib["memAccess"] for cell in domain.iterfind("cpu/numa/cell")] == ["shared"]


def test_no_scheduling_on_isolated_cpus() -> None:
    isolated = "1,3-23,25,27-47"
    [tuned] = texts(rack(), "tuned").values()
    parser = ConfigParser()
    parser.read_string(tuned)
    assert parser["variables"]["isolated_cores"] == isolated
    # systemd would join tuned's CPUs, which have those of unpinned guests, with the plan's.
    assert [name for name in parser.sections() if not parser[name].getboolean("enabled", fallback=True)] == [
        "bootloader", "systemd", "irqbalance",
    ]  # fmt: skip
    assert any(
        re.search(pattern, "/usr/bin/qemu-system-x86_64") for pattern in parser["scheduler"]["ps_blacklist"].split(";")
    )
    [irqbalance] = texts(rack(), "irqbalance").values()
    assert f"IRQBALANCE_BANNED_CPULIST={isolated}" in irqbalance


def test_overlapped_hosts_ban_nothing() -> None:
    target = small()
    target = replace(target, plan=replace(target.plan, pools=replace(target.plan.pools, dedicated=())))
    assert target.plan.overlapped
    [tuned] = texts(target, "tuned").values()
    assert "isolated_cores" not in tuned
    [irqbalance] = texts(target, "irqbalance").values()
    assert "Environment" not in irqbalance


def test_bifurcated_nics_are_never_unbound() -> None:
    target = rack()
    shared = replace(target.plan.nics[0].dpdk, pmd="mlx5_pci", kmod="mlx5_core", bifurcated=True)
    nics = (replace(target.plan.nics[0], dpdk=shared), *target.plan.nics[1:])
    mellanox = replace(target, plan=replace(target.plan, nics=nics))
    assert "driverctl set-override 0000:af:00.0 vfio-pci\n" in texts(target, "driverctl")["driverctl.sh"]
    assert not commands(texts(mellanox, "driverctl")["driverctl.sh"])[1:]  # but set -eu
    assert "mlx5_core\n" not in texts(mellanox, "systemd")["etc/modules-load.d/90-ouchi.conf"]
    variables = texts(mellanox, "openstack-ansible")["etc/openstack_deploy/host_vars/rack7.yml"]
    assert YAML(typ="safe").load(variables)["ovs_dpdk_pci_addresses"] == []


def test_netplan_has_the_vfs_and_no_nic_of_ovs() -> None:
    [text] = texts(rack(), "netplan").values()
    assert YAML(typ="safe").load(text) == {
        "network": {"version": 2, "ethernets": {"ens4f1": {"virtual-function-count": 8}}}
    }
    [text] = texts(small(), "netplan").values()
    assert YAML(typ="safe").load(text) == {"network": {"version": 2}}


def test_yaml_means_the_same_to_readers_of_either_version() -> None:
    """YAML 1.1 reads 0000:af:00.0-like text as numbers in base 60, and no as false."""
    for target in ("kolla-ansible", "openstack-ansible"):
        for path, text in texts(rack(), target).items():
            if path.endswith(".yml"):
                old, new = YAML(typ="safe", pure=True), YAML(typ="safe", pure=True)
                old.version = (1, 1)  # type: ignore[assignment]
                assert old.load(text) == new.load(text), path


def test_several_values_for_openstack_ansible() -> None:
    text = texts(rack(), "openstack-ansible")["etc/openstack_deploy/host_vars/rack7.yml"]
    overrides = YAML(typ="safe").load(text)["nova_nova_conf_overrides"]
    assert list(overrides["DEFAULT"]["reserved_huge_pages"].values()) == [None, None]
    assert [key.split(",")[0] for key in overrides["DEFAULT"]["reserved_huge_pages"]] == ["node:0", "node:1"]


def test_devstack_merges_no_comment() -> None:
    text = texts(rack(), "devstack")["local.conf"]
    heads = re.findall(r"^\[\[.*\]\]$", text, re.MULTILINE)
    assert heads[0] == "[[local|localrc]]"
    assert "#" not in text.partition("[[post-config")[2]


@pytest.mark.parametrize("name", ["eth0\nGRUB=1", "a b", "x" * 16, "../etc", "eth0/"])
def test_a_forged_name_is_refused(name: str) -> None:
    target = rack()
    nics = (replace(target.plan.nics[0], name=name), *target.plan.nics[1:])
    with pytest.raises(BadInput, match="has an invalid name"):
        render(replace(target, plan=replace(target.plan, nics=nics)), ["kernel"])


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028"])
def test_a_comment_is_never_ended_by_what_a_host_reports(end: str) -> None:
    target = rack()
    forged = replace(target, facts=replace(target.facts, ovs_version=f"3.1.0{end}reboot #"))
    for files in render(forged, TARGETS).values():
        for file in files:
            assert not [line for line in file.text.splitlines() if line.startswith("reboot")]


def test_a_strange_name_means_itself_in_a_script() -> None:
    target = rack()
    nics = (replace(target.plan.nics[0], name="$(reboot);'\""), *target.plan.nics[1:])
    strange = replace(target, plan=replace(target.plan, nics=nics))
    for files in render(strange, TARGETS).values():
        for file in files:
            if file.path.endswith(".sh"):
                assert ["reboot"] not in commands(file.text)
                assert not re.search(r"^[^#']*\$\(reboot\)", file.text, re.MULTILINE), "outside quotes and comments"


def test_another_style_has_another_text() -> None:
    assert texts(rack(style=Style.POWER), "ovs") != texts(rack(), "ovs")


# --- the command


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def location(tmp_path: Path) -> Path:
    (tmp_path / "ouchi.yaml").write_text((CASES / "vm-8-cpus" / "site.yaml").read_text())
    return tmp_path


@pytest.fixture
def ouchi(location: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``ouchi render WORDS...`` for a snapshot, in a folder with its site file."""
    monkeypatch.chdir(location)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = ["ouchi", "render", *words, "--snapshot", str(folder("vm-8-cpus"))]
        monkeypatch.setattr(sys, "argv", argv)
        return subprocess.CompletedProcess(argv, main(), *capfd.readouterr())

    return run


def test_as_a_program(location: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8"}
    argv = [sys.executable, "-m", "ouchi", "render", "--to", "kernel", "--snapshot", str(folder("vm-8-cpus"))]
    done = subprocess.run(argv, cwd=location, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# Made by ouchi")


def test_one_file_is_printed_as_it_is_and_several_with_their_paths(ouchi: Run) -> None:
    one = ouchi("--to", "kernel")
    assert (one.returncode, one.stderr) == (0, "")
    assert one.stdout.startswith("# Made by ouchi")
    two = ouchi("--to", "kernel", "--to", "irqbalance")
    assert re.findall(r"^==> (.*) <==$", two.stdout, re.MULTILINE) == [
        "kernel/etc/default/grub.d/90-ouchi.cfg",
        "irqbalance/etc/systemd/system/irqbalance.service.d/90-ouchi.conf",
    ]
    assert one.stdout in two.stdout


def test_files_are_written_again_but_only_ours(ouchi: Run, location: Path) -> None:
    first = ouchi("--to", "all", "-o", "out")
    assert first.returncode == 0, first.stderr
    assert {line.split(": ")[1] for line in first.stdout.splitlines()} == {"written"}
    assert {path.name for path in (location / "out").iterdir()} == set(TARGETS)
    assert (location / "out/ovs/ovs.sh").stat().st_mode & 0o777 == 0o755
    again = ouchi("--to", "all", "-o", "out")
    assert {line.split(": ")[1] for line in again.stdout.splitlines()} == {"unchanged"}
    kernel = location / "out/kernel/etc/default/grub.d/90-ouchi.cfg"
    kernel.write_text(kernel.read_text() + "# an older plan\n")
    assert "90-ouchi.cfg: written" in ouchi("--to", "kernel", "-o", "out").stdout
    kernel.write_text("GRUB_TIMEOUT=1\n")
    (location / "out/ovs/ovs.sh").write_text("#!/bin/sh\n")
    tuned = location / "out/tuned/etc/tuned/ouchi/tuned.conf"
    tuned.unlink()
    refused = ouchi("--to", "all", "-o", "out")
    assert refused.returncode == 2
    assert refused.stderr.count("a file exists that ouchi did not write") == 2
    assert kernel.read_text() == "GRUB_TIMEOUT=1\n"
    assert not tuned.exists(), "nothing is written when something is in the way"


def test_a_mistake_is_a_finding(ouchi: Run) -> None:
    for words, status, part in (
        (("--to", "vmware"), 2, "'vmware' is not one of"),
        ((), 2, "Missing option '--to'"),
        (("--to", "kernel", "--choose", "fast"), 2, "'fast' is not one of"),
        (("--to", "kernel", "--site", "none.yaml"), 2, "none.yaml: there is no such site file"),
        (("--to", "kernel", "-o", "ouchi.yaml/below"), 2, "the files cannot be written"),
    ):
        done = ouchi(*words)
        assert (done.returncode, part in done.stderr) == (status, True), done.stderr
        assert "Traceback" not in done.stderr


def test_choose_takes_another_alternative(ouchi: Run) -> None:
    assert 'plan "capacity"' in ouchi("--to", "kernel").stdout
    chosen = ouchi("--to", "kernel", "--choose", "power")
    assert chosen.returncode == 0, chosen.stderr


def test_a_saved_plan_gives_the_same_files(ouchi: Run, location: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ouchi", "plan", "--json", "--snapshot", str(folder("vm-8-cpus"))])
    with (location / "plan.json").open("w") as file, redirect_stdout(file):
        assert main() == 0
    assert ouchi("--to", "all", "-o", "machine").returncode == 0
    (location / "ouchi.yaml").unlink()

    def rendered(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["ouchi", "render", *words])
        return main()

    assert rendered("--to", "all", "-o", "file", "--plan", "plan.json") == 0
    made = {
        path.relative_to(location / "file"): path.read_text() for path in location.glob("file/**/*") if path.is_file()
    }
    assert made
    for path, text in made.items():
        assert (location / "machine" / path).read_text() == text
    assert rendered("--to", "all", "--plan", "ouchi.yaml") == 2
    assert rendered("--to", "all", "--plan", "plan.json", "--choose", "power", "--site", "ouchi.yaml") == 2
