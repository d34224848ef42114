"""The rig is the machine it says it is, and survives what tests of host changes do to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from practice import PracticeRig

from ouchi.core.errors import BadInput
from ouchi.machine import CommandFailed
from ouchi.rig.hardware import MANAGEMENT_MAC, PORT_MACS, SHARED_MACS

SOURCE = Path(__file__).resolve().parents[2] / "src"
UP_SECONDS = 20.0
"""From a saved state to ssh, also on a machine that is busy."""


def lines(rig: PracticeRig, script: str) -> list[str]:
    return rig.run(script).stdout.split("\n")[:-1]


def test_up_takes_seconds(rig: PracticeRig) -> None:
    rig.power_cut()
    begin = time.monotonic()
    rig.up()
    seconds = time.monotonic() - begin
    print(f"from the base state to ssh: {seconds:.1f} s")
    assert seconds < UP_SECONDS * (1 + len(rig.faults))


def test_twelve_cpus_are_six_cores_in_two_groups(rig: PracticeRig) -> None:
    cpu = "/sys/devices/system/cpu/cpu"
    assert lines(rig, "nproc") == ["12"]
    siblings = lines(rig, f"sort -un {cpu}*/topology/thread_siblings_list")
    assert siblings == [f"{first}-{first + 1}" for first in range(0, 12, 2)]
    assert lines(rig, f"sort -un {cpu}*/cache/index3/shared_cpu_list") == ["0-5", "6-11"]


def test_memory_and_pages_of_1_gib(rig: PracticeRig) -> None:
    (total,) = lines(rig, "awk '/^MemTotal/ {print $2}' /proc/meminfo")
    assert 5.5 < int(total) / 2**20 < 6
    assert "pdpe1gb" in rig.run("grep -m1 ^flags /proc/cpuinfo").stdout.split()
    assert lines(rig, "ls /sys/kernel/mm/hugepages") == ["hugepages-1048576kB", "hugepages-2048kB"]


def test_each_port_has_an_iommu_group_of_its_own(rig: PracticeRig) -> None:
    ports = [address_of(rig, mac) for mac in PORT_MACS]
    assert [driver_of(rig, port) for port in ports] == ["igb", "igb"]
    for port in ports:
        assert group_of(rig, port) == [port]
        assert lines(rig, f"cat /sys/bus/pci/devices/{port}/sriov_totalvfs") == ["7"]


def test_the_old_nics_share_a_group(rig: PracticeRig) -> None:
    nics = [address_of(rig, mac) for mac in SHARED_MACS]
    assert [driver_of(rig, nic) for nic in nics] == ["e1000", "e1000"]
    assert set(nics) < set(group_of(rig, nics[0]))


def test_only_the_management_nic_is_configured(rig: PracticeRig) -> None:
    addressed = lines(rig, "ip -br -4 address show | awk '$1 != \"lo\" && $3 {print $1}'")
    assert len(addressed) == 1
    assert lines(rig, f"cat /sys/class/net/{addressed[0]}/address") == [MANAGEMENT_MAC]
    assert all(state == "down" for state in lines(rig, "cat /sys/class/net/en[ps][12]*/operstate"))


def test_it_booted_by_grub_into_systemd(rig: PracticeRig) -> None:
    words = rig.run("cat /proc/cmdline").stdout.split()
    assert {"console=ttyS0", "mitigations=off", "quiet"} < set(words)
    assert words[0].startswith("BOOT_IMAGE=")
    assert lines(rig, "systemctl is-system-running") == ["running"]
    assert lines(rig, "systemctl is-active openvswitch-switch.service || true") == ["inactive"]


def test_its_clock_is_right(rig: PracticeRig) -> None:
    assert abs(int(lines(rig, "date +%s")[0]) - time.time()) < 30


def test_programs_of_a_host_are_there(rig: PracticeRig) -> None:
    programs = "driverctl ethtool update-grub numactl irqbalance dpdk-testpmd ovs-vswitchd python3 lspci"
    assert len(lines(rig, f"command -v {programs}")) == len(programs.split())


def test_the_user_ouchi_has_sudo(rig: PracticeRig) -> None:
    assert rig.run("id -un; sudo -n id -un", user="ouchi").stdout.split() == ["ouchi", "root"]


def test_a_script_that_fails_fails(rig: PracticeRig) -> None:
    with pytest.raises(CommandFailed, match="exit status 1"):
        rig.run("false; echo not reached")
    assert rig.run("echo out; echo err >&2; exit 7", check=False).status == 7


def test_secrets_are_the_owners(rig: PracticeRig) -> None:
    (line,) = (line for line in Path(rig.ssh_config).read_text().splitlines() if "IdentityFile" in line)
    assert Path(line.split('"')[1]).stat().st_mode & 0o777 == 0o600
    assert Path(rig.ssh_config).stat().st_mode & 0o777 == 0o600
    assert Path(rig.ssh_config).parent.stat().st_mode & 0o777 == 0o700


def test_only_loopback_reaches_it(rig: PracticeRig) -> None:
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{rig.port}"], capture_output=True, text=True, check=True)
    assert [line.split()[3] for line in listening.stdout.splitlines()] == [f"127.0.0.1:{rig.port}"]


def test_files_and_folders_are_copied_in(rig: PracticeRig, tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/file").write_text("deep")
    rig.copy_in(tmp_path / "folder", "/tmp/a folder")
    rig.copy_in(tmp_path / "folder/deep/file", "/tmp/alone")
    assert rig.run("cat '/tmp/a folder/deep/file' /tmp/alone").stdout == "deepdeep"


@pytest.mark.exhaustive
def test_ouchi_runs_inside(rig: PracticeRig) -> None:
    """From a copy of its sources. Debian 13's click is too old for it; ours is pure Python and comes along."""
    rig.copy_in(SOURCE, "/opt/ouchi/src")
    rig.copy_in(Path(click.__file__).parent, "/opt/ouchi/src/click")
    facts = json.loads(rig.run("PYTHONPATH=/opt/ouchi/src python3 -B -m ouchi inspect --json", timeout=120).stdout)
    assert len(facts["cpus"]) == 12
    plan = rig.run("cd /root; PYTHONPATH=/opt/ouchi/src python3 -B -m ouchi plan", timeout=120).stdout
    assert "pmd" in plan


def test_states_keep_vfs_vfio_and_the_disk(rig: PracticeRig) -> None:
    port = address_of(rig, PORT_MACS[0])
    rig.run(f"echo 2 >/sys/bus/pci/devices/{port}/sriov_numvfs; modprobe vfio-pci")
    vf = lines(rig, f"basename $(readlink /sys/bus/pci/devices/{port}/virtfn1)")[0]
    rig.run(f"driverctl --nosave set-override {vf} vfio-pci; echo before >/root/file; sync")
    rig.save("vfs")
    rig.run(f"echo after >/root/file; sync; driverctl --nosave unset-override {vf}")
    rig.load("vfs")
    assert lines(rig, "cat /root/file") == ["before"]
    assert driver_of(rig, vf) == "vfio-pci"
    assert group_of(rig, vf) == [vf]
    rig.run(f"driverctl --nosave unset-override {vf}; echo 0 >/sys/bus/pci/devices/{port}/sriov_numvfs")
    assert [state.name for state in rig.states()][-1] == "vfs"


def test_a_state_that_is_not_there_changes_nothing(rig: PracticeRig) -> None:
    with pytest.raises(BadInput, match="no such snapshot"):
        rig.load("nothing")
    assert rig.ended() is None


@pytest.mark.exhaustive
def test_after_a_reboot_a_changed_command_line_is_there(rig: PracticeRig) -> None:
    before = lines(rig, "cat /proc/sys/kernel/random/boot_id")
    rig.run("sed -i 's/mitigations=off/& hugepages=8/' /etc/default/grub; update-grub", timeout=120)
    begin = time.monotonic()
    with first_come(rig, before[0]) as guest:
        rig.reboot()
        print(f"a reboot, until it is up: {time.monotonic() - begin:.1f} s")
        assert guest.communicate(timeout=180)[0] == "in\nstill in\n"
    assert lines(rig, "cat /proc/sys/kernel/random/boot_id") != before
    assert lines(rig, "cat /proc/sys/vm/nr_hugepages") == ["8"]


@pytest.mark.exhaustive
def test_a_power_cut_loses_what_was_not_written(rig: PracticeRig) -> None:
    rig.run("echo kept >/root/kept; sync; echo lost >/root/lost")
    rig.power_cut()
    assert rig.ended() == "off"
    begin = time.monotonic()
    rig.boot()
    print(f"a cold boot, until it is up: {time.monotonic() - begin:.1f} s")
    assert lines(rig, "ls /root/kept /root/lost 2>/dev/null || :") == ["/root/kept"]
    assert lines(rig, "systemctl is-system-running") == ["running"]


def test_put_away_it_resumes_where_it_was(rig: PracticeRig) -> None:
    rig.run("echo something >/run/only-in-memory")
    rig.down()
    assert rig.ended() == "off"
    rig.load("suspended")
    assert lines(rig, "cat /run/only-in-memory") == ["something"]


def test_qemu_ends_with_whoever_runs_it(rig: PracticeRig, tmp_path: Path) -> None:
    """A process that runs a rig is killed; nothing of the rig is left."""
    rig.power_cut()  # one at a time is enough for a small machine
    code = textwrap.dedent("""
        import sys
        from ouchi.machine.local import LocalMachine
        from ouchi.rig.base import prepare
        from ouchi.rig.rig import Rig
        machine = LocalMachine()
        with Rig(machine, prepare(machine, "/var/cache/ouchi-tests/rig", print), sys.argv[1]) as rig:
            rig.up()
            print("up", rig._qemu.pid, flush=True)
            sys.stdin.read()
    """)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    argv = [sys.executable, "-c", code, str(tmp_path / "rig")]
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout
        line = next(line for line in runner.stdout if line.startswith("up "))
        runner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{line.split()[1]}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{line.split()[1]}").exists()


@contextmanager
def first_come(rig: PracticeRig, boot_id: str) -> Iterator[subprocess.Popen[str]]:
    """A user who logs in as soon as the rig has booted again, and stays for a while."""
    inside = f"""[ "$(cat /proc/sys/kernel/random/boot_id)" != {boot_id} ] || exit
        echo in; systemctl is-system-running --wait >/dev/null; sleep 10; echo still in"""
    argv = ["sh", "-c", 'until "$@" | grep .; do sleep 0.1; done', "sh", *rig.ssh_argv(), inside]
    guest = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with guest:
        try:
            yield guest
        finally:
            guest.kill()


def address_of(rig: PracticeRig, mac: str) -> str:
    """Where on the PCI bus the NIC with this address is."""
    return lines(rig, f"basename $(readlink -f $(grep -l {mac} /sys/class/net/*/address | xargs dirname)/device)")[0]


def driver_of(rig: PracticeRig, address: str) -> str:
    return lines(rig, f"basename $(readlink /sys/bus/pci/devices/{address}/driver)")[0]


def group_of(rig: PracticeRig, address: str) -> list[str]:
    """Everything that the IOMMU cannot tell from it."""
    return lines(rig, f"ls /sys/bus/pci/devices/{address}/iommu_group/devices")
