"""What is rendered, read by the programs it is for: each target's real consumer accepts it and says what it took.

Nothing of the machine is changed but that packages are installed; what would change it runs in namespaces of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import installed
import pytest
from guardian import STORE
from keeper import CACHE
from lab import prepare_cache
from ruamel.yaml import YAML

from ouchi.plan.target import Target
from ouchi.render.ovs import SWITCH
from ouchi.render.targets import TARGETS, render
from tests.rack import rack, small

KOLLA_ANSIBLE, ANSIBLE_CORE = "kolla-ansible==22.2.0", "ansible-core==2.19.4"
"""kolla-ansible of OpenStack 2026.1."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="packages, mounts and network namespaces need root")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything rendered for the rack, a folder for each target; the programs that read it are there too."""
    top = tmp_path_factory.mktemp("rendered")
    installed.require(installed.CONSUMERS)
    write(rack(), top / "rack")
    return top / "rack"


def write(target: Target, top: Path) -> Path:
    for name, made in render(target, TARGETS).items():
        for file in made:
            path = top / name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)
            path.chmod(file.mode)
    return top


def run(
    *argv: str | Path, check: bool = True, env: Mapping[str, str] | None = None, input: str | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in argv], env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}, input=input,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{argv}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


# --- OpenStack: the options as nova and neutron define them

OPTIONS = """
import importlib.metadata, json, sys
from oslo_config import cfg
project, path = sys.argv[1:]
sections = {}
cfg.ConfigParser(path, sections).parse()
if project == "nova":
    import nova.conf
    conf = nova.conf.CONF
else:
    conf = cfg.ConfigOpts()
    for entry in importlib.metadata.entry_points(group="oslo.config.opts"):
        if entry.name == "neutron" or entry.name.startswith("neutron."):
            for group, options in entry.load()():
                try:
                    conf.register_opts(list(options), None if str(group) == "DEFAULT" else group)
                except cfg.DuplicateOptError:
                    pass
conf([], project=project, default_config_files=[path], default_config_dirs=[])
if project == "nova":
    nova.conf.neutron.register_dynamic_opts(conf)
found, wrong = {}, []
for section, keys in sections.items():
    for key in keys:
        try:
            value = getattr(conf if section == "DEFAULT" else getattr(conf, section), key)
            found.setdefault(section, {})[key] = value
        except (cfg.NoSuchOptError, ValueError) as reason:
            wrong.append(f"[{section}] {key}: {type(reason).__name__} {reason}")
extra = {}
if project == "nova" and not wrong:
    from nova.pci import whitelist
    from nova.virt import hardware
    extra["dedicated"] = sorted(hardware.get_cpu_dedicated_set() or ())
    extra["shared"] = sorted(hardware.get_cpu_shared_set() or ())
    extra["reserved"] = {str(node): list(map(int, pages)) + list(pages.values())
                         for node, pages in hardware.numa_get_reserved_huge_pages().items()}
    extra["devices"] = [spec.get_tags() for spec in whitelist.Whitelist(conf.pci.device_spec).specs]
if "ml2_type_vlan" in found and not wrong:
    from neutron_lib.plugins import utils
    extra["vlans"] = utils.parse_network_vlan_ranges(conf.ml2_type_vlan.network_vlan_ranges)
if "ovs" in found and not wrong:
    from neutron_lib.utils import helpers
    extra["mappings"] = helpers.parse_mappings(conf.ovs.bridge_mappings)
print(json.dumps({"found": found, "wrong": wrong, "extra": extra}, default=str))
"""


@pytest.fixture(scope="module")
def openstack() -> Path:
    """The Python of OpenStack's own environment."""
    prepare_cache()
    return CACHE / "openstack" / "bin" / "python"


def options(openstack: Path, project: str, path: Path) -> dict[str, Any]:
    output = run(openstack, "-c", OPTIONS, project, path).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def test_nova_recognises_every_option(files: Path, openstack: Path) -> None:
    plan = rack().plan
    for path in (
        files / "nova/compute/etc/nova/nova.conf.d/90-ouchi.conf",
        files / "kolla-ansible/etc/kolla/config/nova/rack7/nova.conf",
    ):
        answer = options(openstack, "nova", path)
        assert answer["wrong"] == []
        assert answer["extra"]["dedicated"] == list(plan.pools.dedicated)
        assert answer["extra"]["shared"] == list(plan.pools.shared)
        assert answer["extra"]["reserved"] == {"0": [2048, 432], "1": [2048, 1712]}
        assert answer["extra"]["devices"] == [{"physical_network": "physnet2"}]
        assert answer["found"]["neutron_physnet_physnet2"] == {"numa_nodes": [1]}
        assert answer["found"]["libvirt"] == {"rx_queue_size": 1024, "tx_queue_size": 1024}
    answer = options(openstack, "nova", files / "nova/scheduler/etc/nova/nova.conf.d/90-ouchi.conf")
    assert answer["wrong"] == []
    assert "NUMATopologyFilter" in answer["found"]["filter_scheduler"]["enabled_filters"]


def test_neutron_recognises_every_option(files: Path, openstack: Path) -> None:
    folder = files / "neutron"
    paths = [path for path in folder.rglob("*.conf") if path.is_file()]
    paths += (files / "kolla-ansible/etc/kolla/config/neutron").rglob("*.ini")
    assert len(paths) == 6
    answers = {str(path.relative_to(files)): options(openstack, "neutron", path) for path in paths}
    assert {path: answer["wrong"] for path, answer in answers.items() if answer["wrong"]} == {}
    ovn = answers["neutron/ovn/etc/neutron/neutron.conf.d/90-ouchi.conf"]
    assert ovn["extra"]["vlans"] == {"physnet1": [[101, 102]]}
    assert ovn["found"]["ml2"]["physical_network_mtus"] == {"physnet1": "9000", "physnet2": "1500"} or ovn["found"][
        "ml2"
    ]["physical_network_mtus"] == ["physnet1:9000", "physnet2:1500"]
    agent = answers["neutron/ovs-agent/etc/neutron/neutron-openvswitch-agent.conf.d/90-ouchi.conf"]
    assert agent["extra"]["mappings"] == {"physnet1": "br-physnet1", "physnet2": "br-physnet2"}


def test_a_wrong_option_is_seen(openstack: Path, tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.write_text("[DEFAULT]\nreserved_huge_page = 1\n[libvirt]\nrx_queue_size = many\n")
    assert [line.split(":")[0] for line in options(openstack, "nova", path)["wrong"]] == [
        "[DEFAULT] reserved_huge_page",
        "[libvirt] rx_queue_size",
    ]
    path.write_text("[ovs]\nvhost_socket_dir = /run\n")
    assert len(options(openstack, "neutron", path)["wrong"]) == 1


def test_oslo_finds_drop_ins_where_they_go(openstack: Path) -> None:
    ask = (
        "from oslo_config import cfg; import os, json; seen = []\n"
        "os.path.exists = lambda path: bool(seen.append(path))\n"
        "cfg.find_config_dirs('nova', 'nova-compute'); cfg.find_config_dirs('neutron', 'neutron-openvswitch-agent')\n"
        "print(json.dumps(seen))"
    )
    seen = json.loads(run(openstack, "-c", ask).stdout)
    folders = {
        f"/{path.rpartition('/')[0]}"
        for path in (
            "etc/nova/nova.conf.d/x",
            "etc/neutron/neutron.conf.d/x",
            "etc/neutron/neutron-openvswitch-agent.conf.d/x",
        )
    }
    assert folders <= set(seen)


FLAVORS = """
import json, sys
from openstackclient.compute.v2 import flavor
from nova.api.validation.extra_specs import validators
commands = {"create": flavor.CreateFlavor, "set": flavor.SetFlavor, "show": flavor.ShowFlavor}
for line in sys.stdin:
    noun, verb, *words = json.loads(line)
    assert noun == "flavor"
    taken = vars(commands[verb](None, None).get_parser("openstack").parse_args(words))
    for key, value in (taken.get("properties") or {}).items():
        assert key in validators.VALIDATORS, key
        validators.validate(key, value)
    print(json.dumps([verb, taken.get("name") or taken.get("flavor"), taken.get("ram"), taken.get("properties")]))
"""


def test_the_client_takes_the_flavors_and_nova_their_properties(files: Path, openstack: Path, tmp_path: Path) -> None:
    client, log = tmp_path / "openstack", tmp_path / "log"
    note = "import json, sys; print(json.dumps(sys.argv[1:]))"
    client.write_text(f'#!/bin/sh\npython3 -c {shlex.quote(note)} "$@" >>{log}\n[ "$2" != show ]\n')
    client.chmod(0o755)
    run("dash", files / "flavors/flavors.sh", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    taken = [json.loads(line) for line in run(openstack, "-c", FLAVORS, input=log.read_text()).stdout.splitlines()]
    assert [verb for verb, *_ in taken] == ["show", "create", "set"] * 2
    assert taken[1][1:3] == ["ouchi.pinned.8c.8192m", 8192]
    assert taken[2][3] == {
        "hw:mem_page_size": "large",
        "hw:cpu_policy": "dedicated",
        "hw:emulator_threads_policy": "share",
    }


# --- Open vSwitch

ENTER = ("unshare", "--net", "--mount", "--propagation", "private", "setpriv", "--pdeathsig", "KILL", "--")


class Switch:
    """A database of Open vSwitch, and its daemon with DPDK but without hugepages, in a network of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "OVS_RUNDIR": str(folder),
            "OVS_DBDIR": str(folder),
            "OVS_LOGDIR": str(folder),
            "RUNTIME_DIRECTORY": str(folder),
            "DB_SOCK": f"unix:{folder}/db.sock",
        }
        (folder / "ovs-vswitchd").symlink_to(SWITCH)
        run("ovsdb-tool", "create", folder / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        self.running: list[subprocess.Popen[bytes]] = []
        self.start("ovsdb-server", str(folder / "conf.db"), f"--remote=punix:{folder}/db.sock", "-vconsole:warn")
        self.until((folder / "db.sock").exists)

    def start(self, *argv: str) -> None:
        environment = {**os.environ, **self.environment}
        with (self.folder / f"{Path(argv[0]).name}.log").open("wb") as log:
            self.running.append(subprocess.Popen([*ENTER, *argv], env=environment, stdout=log, stderr=log))

    def run(self, *argv: str | Path) -> str:
        return run(*argv, env=self.environment).stdout

    def until(self, true: Any) -> None:
        deadline = time.monotonic() + 40
        while not true():
            assert time.monotonic() < deadline, (self.folder / "ovs-vswitchd.log").read_text()[-3000:]
            time.sleep(0.1)

    def close(self) -> None:
        for process in reversed(self.running):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


@pytest.fixture
def switch(files: Path, tmp_path: Path) -> Iterator[Switch]:
    assert files
    found = Switch(tmp_path)
    try:
        yield found
    finally:
        found.close()


def test_ovs_vsctl_takes_the_scripts_twice(files: Path, switch: Switch) -> None:
    target = rack()
    for _ in range(2):
        switch.run("dash", files / "ovs/ovs.sh")
        switch.run("dash", files / "neutron/ovn/external-ids.sh")
        switch.run("dash", files / "libvirt/ports.sh")
    for key, value in target.plan.ovs_other_config.items():
        shown = switch.run("ovs-vsctl", "get", "Open_vSwitch", ".", f"other_config:{key}").strip()
        assert (json.loads(shown) if shown.startswith('"') else shown) == value
    assert switch.run("ovs-vsctl", "list-br").split() == ["br-int", "br-physnet1", "br-physnet2"]
    assert switch.run("ovs-vsctl", "list-ports", "br-physnet1").split() == ["dpdk0", "vhost0-0", "vhost0-1", "vhost1-0"]
    pairs = switch.run("ovs-vsctl", "get", "Interface", "dpdk0", "other_config:pmd-rxq-affinity")
    assert json.loads(pairs) == "0:1,1:3,2:25,3:27"
    mapped = switch.run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings")
    assert json.loads(mapped) == "physnet1:br-physnet1,physnet2:br-physnet2"


def test_ovs_vswitchd_reports_what_it_was_given(switch: Switch, tmp_path: Path) -> None:
    """A NIC that DPDK makes of nothing stands in for the real one; memory is not from hugepages, which others use."""
    prepare_cache()  # the null driver comes with what bench is built against
    target = small(run("ovs-vsctl", "--version").stdout.splitlines()[0].split()[-1])
    interface = replace(rack().plan.nics[0], node=0, rxqs=(0, 0))
    queues = {"pmd-rxq-assign": "group", "pmd-rxq-isolate": "false"}
    planned = replace(target.plan, nics=(interface,), ovs_other_config={**target.plan.ovs_other_config, **queues})
    target = replace(target, plan=planned)
    scripts = write(target, tmp_path / "small")
    switch.run("dash", scripts / "ovs/ovs.sh")
    switch.run("dash", scripts / "libvirt/ports.sh")
    switch.run("ovs-vsctl", "--no-wait", "remove", "Open_vSwitch", ".", "other_config", "dpdk-socket-mem")
    emulated = 'other_config:dpdk-extra="--no-pci --no-huge --legacy-mem -m 600"'
    switch.run("ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", emulated)
    switch.run("ovs-vsctl", "--no-wait", "set", "Interface", "dpdk0", "options:dpdk-devargs=net_null0")
    switch.start(str(tmp_path / "ovs-vswitchd"), f"unix:{tmp_path}/db.sock", f"--pidfile={tmp_path}/ovs-vswitchd.pid")
    switch.until(lambda: "true" in switch.run("ovs-vsctl", "--no-wait", "get", "Open_vSwitch", ".", "dpdk_initialized"))
    # Waits for the switch.
    switch.run("ovs-vsctl", "--timeout=20", "set", "Open_vSwitch", ".", "external_ids:requested=now")
    shown = switch.run("ovs-appctl", "dpif-netdev/pmd-rxq-show")
    assert re.findall(r"numa_id \d+ core_id (\d+)", shown) == ["0"]
    assert "isolated : false" in shown, "pinned queues leave the thread to the guests' ports"
    assert len(re.findall(r"port: dpdk0\s+queue-id:\s+\d", shown)) == 2, shown
    output = tmp_path / "ovs-vswitchd.log"
    switch.until(lambda: output.read_text().count("is pinned with port 'dpdk0'") >= 2)
    log = output.read_text()
    assert "Rxq to PMD assignment mode changed to: 'group'" in log
    assert re.search(r"sleep.*500", log, re.IGNORECASE), log[-3000:]
    assert "No available" not in log, "a queue without a thread"
    for bridge in ("br-int", "br-physnet1"):
        assert switch.run("ovs-vsctl", "get", "Bridge", bridge, "datapath_type").strip() == "netdev"
    assert switch.run("ovs-vsctl", "get", "Interface", "dpdk0", "error").strip() == "[]"
    assert switch.run("ovs-vsctl", "get", "Interface", "vhost0-0", "error").strip() == "[]"


# --- libvirt, systemd and the host's other programs


def test_libvirt_finds_no_fault_with_a_domain(files: Path, tmp_path: Path) -> None:
    for path in sorted((files / "libvirt").glob("*.xml")):
        assert run("virt-xml-validate", path, "domain").stderr.strip().endswith("validates")
    wrong = tmp_path / "wrong.xml"
    wrong.write_text((files / "libvirt/endpoint.xml").read_text().replace("memAccess=", "memaccess="))
    assert run("virt-xml-validate", wrong, "domain", check=False).returncode != 0, "it does look"


@pytest.mark.parametrize(
    ("target", "unit"), [("systemd", "ovs-vswitchd.service"), ("irqbalance", "irqbalance.service")]
)
def test_systemd_finds_no_fault_with_a_drop_in(files: Path, tmp_path: Path, target: str, unit: str) -> None:
    drop_in = f"{unit}.d/90-ouchi.conf"
    shutil.copy(f"/lib/systemd/system/{unit}", tmp_path / unit)
    (tmp_path / drop_in).parent.mkdir()
    text = (files / target / "etc/systemd/system" / drop_in).read_text()

    def verify(content: str) -> str:
        (tmp_path / drop_in).write_text(content)
        words = ["systemd-analyze", "verify", "--man=no", "--generators=no", "--recursive-errors=no", tmp_path / unit]
        return run(*words, check=False, env={"SYSTEMD_LOG_TARGET": "console"}).stderr

    assert "90-ouchi.conf" not in verify(text)
    assert "90-ouchi.conf" in verify(
        text.replace("CPUAffinity=0", "CPUAffinity=x").replace("Environment=", "Enviro=\n")
    )


def test_tmpfiles_makes_the_folder_of_the_sockets(files: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    shutil.copytree(files / "systemd/etc/tmpfiles.d", tmp_path / "etc/tmpfiles.d")
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nlibvirt-qemu:x:64055:64055::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    (tmp_path / "run").mkdir()
    run("systemd-tmpfiles", "--create", f"--root={tmp_path}")
    status = (tmp_path / "run/vhost-user").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (64055, 0, 0o755)


def test_modules_load_reads_its_file(files: Path) -> None:
    """Without the module it says so by its name, with it loads it; anything else would be a name it did not read."""
    done = run("/lib/systemd/systemd-modules-load", files / "systemd/etc/modules-load.d/90-ouchi.conf", check=False,
               env={"SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_TARGET": "console"})  # fmt: skip
    assert "vfio-pci" in done.stderr or "vfio_pci" in done.stderr
    assert "Made by" not in done.stderr


TUNED = """
import json, sys
from tuned import consts, profiles
from tuned.profiles.variables import Variables
from tuned.utils.global_config import GlobalConfig
locator, variables = profiles.Locator([*consts.LOAD_DIRECTORIES[:1], sys.argv[1]]), Variables()
units = profiles.Loader(locator, profiles.Factory(), profiles.Merger(), GlobalConfig(), variables).load("ouchi").units
print(json.dumps({name: {"enabled": unit.enabled, **{k: variables.expand(str(v)) for k, v in unit.options.items()}}
                  for name, unit in units.items()}))
"""


def test_tuned_loads_the_profile(files: Path, tmp_path: Path) -> None:
    """For CPUs that this machine has: tuned refuses others."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("the profile keeps CPU 1 quiet, and tuned refuses one for a CPU that the machine has not")
    folder = write(small(), tmp_path) / "tuned/etc/tuned"
    units = json.loads(run("/usr/bin/python3", "-c", TUNED, folder).stdout.splitlines()[-1])
    assert units["scheduler"]["isolated_cores"] == "1"
    assert "qemu-system" in units["scheduler"]["ps_blacklist"]
    assert [units[name]["enabled"] for name in ("bootloader", "systemd", "irqbalance")] == [False] * 3
    assert files


def test_irqbalance_reads_its_cpus(files: Path, tmp_path: Path) -> None:
    """With the kernel's interrupts out of its reach."""
    [path] = (write(small(), tmp_path) / "irqbalance").rglob("*.conf")
    variable = re.search(r'^Environment="(\w+)=(.*)"$', path.read_text(), re.MULTILINE)
    assert variable
    assert files
    safe = "mount --bind /proc/irq /proc/irq && mount -o remount,bind,ro /proc/irq && exec irqbalance --debug --oneshot"
    done = run("unshare", "--mount", "--propagation", "private", "sh", "-c", safe, env={variable[1]: variable[2]})
    assert re.search(r"Banned CPUs: (.*)", done.stdout + done.stderr)[1].lstrip("0,") == "2"  # the mask of CPU 1


DRIVERCTL = r"""
mount -t tmpfs fake /sys
mount -t tmpfs fake /etc/driverctl.d
device=/sys/devices/pci0000:ae/0000:ae:00.0/0000:af:00.0
mkdir -p "$device" /sys/bus/pci/devices /sys/bus/pci/drivers/i40e /sys/bus/pci/drivers/vfio-pci /sys/module/vfio-pci
ln -s "$device" /sys/bus/pci/devices/0000:af:00.0
ln -s /sys/bus/pci "$device/subsystem"
ln -s /sys/bus/pci/drivers/i40e "$device/driver"
: >"$device/driver_override"
echo DRIVER=i40e >"$device/uevent"
sh "$1" || true
cat "$device/driver_override" /sys/bus/pci/drivers/i40e/unbind /etc/driverctl.d/*
"""


def test_driverctl_overrides_the_nic(files: Path) -> None:
    """In a /sys of its own: the override is what the kernel would be told, and is kept for the next boot."""
    Path("/etc/driverctl.d").mkdir(exist_ok=True)
    script = files / "driverctl/driverctl.sh"
    done = run("unshare", "--mount", "--propagation", "private", "sh", "-c", DRIVERCTL, "sh", script)
    assert done.stdout.split()[:2] == ["vfio-pci", "0000:af:00.0"], done.stderr


def test_netplan_takes_the_vfs(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files / "netplan", tmp_path, dirs_exist_ok=True)
    done = run("netplan", "generate", "--root-dir", tmp_path)
    assert "WARNING" not in done.stderr
    assert list((tmp_path / "run/udev/rules.d").glob("*sriov*")), "it has seen that there are VFs"
    assert not list(tmp_path.rglob("*ens4f0*")), "OVS-DPDK's NIC is not netplan's"
    path = tmp_path / "etc/netplan/90-ouchi.yaml"
    path.write_text(path.read_text().replace("virtual-function-count", "virtual-functions"))
    assert run("netplan", "generate", "--root-dir", tmp_path, check=False).returncode != 0, "it does look"


def test_update_grub_would_source_it(files: Path) -> None:
    words = 'GRUB_CMDLINE_LINUX="quiet"; for x in "$1"/*.cfg; do . "$x"; done; printf %s "$GRUB_CMDLINE_LINUX"'
    output = run("dash", "-euc", words, "dash", files / "kernel/etc/default/grub.d").stdout
    assert output.split() == ["quiet", *rack().plan.kernel_args]


# --- whole deployments


@pytest.fixture(scope="module")
def ansible() -> Path:
    """kolla-ansible and ansible-core from PyPI, kept with what the tests share."""
    folder = STORE / "ansible"
    stamp, versions = folder / "ready", f"{KOLLA_ANSIBLE} {ANSIBLE_CORE}"
    if not stamp.exists() or stamp.read_text() != versions:
        shutil.rmtree(folder, ignore_errors=True)
        uv = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--target",
            str(folder),
        ]
        run(*uv, "--no-deps", KOLLA_ANSIBLE)
        run(*uv, ANSIBLE_CORE)
        stamp.write_text(versions)
    return folder


def inventory(ansible: Path, path: Path) -> dict[str, Any]:
    argv = [sys.executable, ansible / "bin/ansible-inventory", "-i", path, "--list"]
    found: dict[str, Any] = json.loads(run(*argv, env={"PYTHONPATH": str(ansible)}).stdout)
    return found


def test_ansible_reads_the_inventory(files: Path, ansible: Path) -> None:
    found = inventory(ansible, files / "kolla-ansible/inventory/ouchi.ini")
    variables = found["_meta"]["hostvars"]["rack7"]
    assert variables["ovs_socket_mem"] == rack().plan.ovs_other_config["dpdk-socket-mem"]
    assert variables["ansible_host"] == "203.0.113.11"
    multinode = (ansible / "share/kolla-ansible/ansible/inventory/multinode").read_text()
    groups = [name for name in found if name not in ("_meta", "all", "ungrouped")]
    assert sorted(groups) == ["compute", "control", "deployment", "monitoring", "network", "storage"]
    for group in groups:
        assert f"\n[{group}]\n" in multinode


def test_kolla_ansible_recognises_every_variable(files: Path, ansible: Path) -> None:
    top = ansible / "share/kolla-ansible/ansible"
    known: set[str] = set()
    for path in (*top.glob("group_vars/all/*.yml"), *top.glob("roles/*/defaults/main.yml")):
        known |= set(YAML(typ="safe").load(path.read_text()) or {})
    assert {"enable_ovs_dpdk", "ovs_socket_mem"} <= known
    ours = files / "kolla-ansible"
    for path in (ours / "etc/kolla/globals.d/90-ouchi.yml", ours / "inventory/host_vars/rack7.yml"):
        assert set(YAML(typ="safe").load(path.read_text())) - known <= {"ansible_host"}, path
    # Files that it merges by these names.
    tasks = "".join(path.read_text() for role in ("nova", "nova-cell", "neutron")
                    for path in (top / f"roles/{role}/tasks").glob("*.yml"))  # fmt: skip
    for name in (
        "nova/{{ inventory_hostname }}/nova.conf",
        "nova/{{ item.key }}.conf",
        "neutron/ml2_conf.ini",
        "neutron/{{ inventory_hostname }}/openvswitch_agent.ini",
    ):
        assert name in tasks


def test_kolla_ansible_does_not_pass_on_what_the_script_sets(ansible: Path) -> None:
    """When it does one day, the script after the deployment and the remark in the documents can go."""
    role = (ansible / "share/kolla-ansible/ansible/roles/ovs-dpdk/tasks/config.yml").read_text()
    assert "ovs_socket_mem" in role
    assert "pmd_coremask" not in role
    assert "dpdk_interface_driver" not in role
