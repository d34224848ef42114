"""apply and undo on a host: changed, rebooted, used, and restored as it was; then everything that goes wrong.

The host has two NUMA nodes, and OVS-DPDK's NIC is on node 1: Open vSwitch's main thread, on CPU 0, needs pages on node 0.

The tests share saved states of the rig: ``fresh``, before any change, and ``applied``, which the first test that needs it
makes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from practice import Practice, PracticeRig, finished, look, site, wait, without_boot

from ouchi.cli.changes import APPLY, run_changes
from ouchi.cli.hosted import hosts_of
from ouchi.core.errors import Failed
from ouchi.core.instance import Instance
from ouchi.flows.apply import Apply
from ouchi.flows.several_hosts import Options
from ouchi.host import commit_confirm, reboot
from ouchi.plan.nics import vf_mac
from ouchi.rig.hardware import Shape
from ouchi.steps.vfs import VfsKind
from ouchi.steps.vfs import vfs as vfs_change

SHAPE = Shape.TWO_NODES
FILE = "/etc/default/grub.d/90-ouchi.cfg"
Looked = list[str]


@pytest.fixture(scope="module")
def practice(rig: PracticeRig, tmp_path_factory: pytest.TempPathFactory) -> Practice:
    """The rig with the distribution's Open vSwitch in use, saved as ``fresh``."""
    rig.run("systemctl enable --now openvswitch-switch", timeout=120)
    rig.save("fresh")
    return Practice(rig, tmp_path_factory.mktemp("site"), pf="enp129s0", sriov="enp65s0")


@pytest.fixture(scope="module")
def before(practice: Practice) -> Looked:
    """What the machine was before."""
    return look(practice.rig)


@pytest.fixture
def fresh(practice: Practice, before: Looked) -> Iterator[Practice]:
    """The machine before any change; afterwards it must be reached and as it was, but for what a reboot changes."""
    practice.rig.load("fresh")
    yield practice
    assert look(practice.rig, boot=False) == without_boot(before)


@pytest.fixture
def applied(practice: Practice, before: Looked) -> Practice:  # noqa: ARG001
    """The machine as ``apply`` and a reboot leave it; ``before`` is read first."""
    rig = practice.rig
    if "applied" not in names(rig):
        rig.load("fresh")
        practice.run_rebooting("apply", "--yes")
        rig.save("applied")
    rig.load("applied")
    return practice


def names(rig: PracticeRig) -> set[str]:
    """Return the names of the saved states."""
    return {state.name for state in rig.states()}


def test_a_dry_run_changes_nothing(practice: Practice, before: Looked) -> None:
    result, _ = practice.run("apply", "--dry-run")
    assert [step["step"] for step in result["steps"]] == [
        "kernel", "modules", "services", "irqbalance", "networks", "NICs", "VFs", "open vswitch",
    ]  # fmt: skip
    assert result["reboot"][0].startswith("the kernel was booted without")
    # Without a terminal ouchi cannot ask.
    _, output = practice.run("apply", status=2)
    assert "ouchi cannot ask whether to make these changes and reboot the host" in output
    assert look(practice.rig) == before


def test_it_becomes_as_planned(practice: Practice) -> None:
    """Applied and rebooted in one command; then there is nothing to do."""
    done, output = practice.run_rebooting("apply", "--yes")
    assert done["rebooted"], output
    assert not done["reboot_needed"]
    rig = practice.rig
    assert rig.run("cat /sys/devices/system/cpu/isolated").stdout == "2-11\n"
    assert rig.run("basename $(readlink /sys/bus/pci/devices/0000:81:00.0/driver)").stdout == "vfio-pci\n"
    assert rig.run("ip link show enp65s0 | grep -c 'trust on'").stdout == "2\n"
    macs = rig.run("cat /sys/class/net/enp65s0v?/address").stdout.split()
    assert macs == [vf_mac("rig", "0000:41:00.0", number) for number in (0, 1)]
    assert rig.run("ovs-vsctl get Open_vSwitch . dpdk_initialized").stdout == "true\n"
    assert rig.run("grep -c mitigations=off /proc/cmdline").stdout == "1\n"
    assert rig.run("cat /sys/bus/pci/devices/0000:81:00.0/numa_node").stdout == "1\n"
    pages = rig.run("cat /sys/devices/system/node/node[01]/hugepages/hugepages-2048kB/nr_hugepages").stdout.split()
    assert 0 < int(pages[0]) < int(pages[1])
    rig.save("applied")
    result, _ = practice.run("apply", "--yes")
    assert (result["steps"], result["previous"], result["reboot"]) == ([], [], [])


def test_the_doctor_finds_nothing(practice: Practice) -> None:
    result, _ = practice.run("doctor", status=None)
    assert result["counts"]["errors"] == 0, [check for check in result["checks"] if check["findings"]]


def test_the_switch_carries_packets_on_the_nic(practice: Practice) -> None:
    """OVS-DPDK on the first NIC by vfio-pci answers a VF of the second, at the other end of the wire."""
    rig = practice.rig
    words = [sys.executable, "-m", "ouchi", "render", "--to", "ovs", "--site", str(practice.site)]
    script = subprocess.run(
        words, env=practice.environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    rig.run(f"cat >/root/ovs.sh <<'END'\n{script}\nEND\nsh /root/ovs.sh", timeout=120)
    rig.run(
        "ovs-vsctl --timeout=60 wait-until Interface dpdk0 link_state=up || ovs-vsctl list Interface dpdk0 >&2",
        timeout=90,
    )
    rig.run("""
        ip address add 10.9.0.1/24 dev br-physnet1; ip link set br-physnet1 up
        ip netns add one; ip netns add two; ip link set enp65s0 up
        for pair in one:enp65s0v0:2 two:enp65s0v1:3; do
            IFS=: read space vf last <<<"$pair"
            ip link set "$vf" netns "$space"; ip -n "$space" address add "10.9.0.$last/24" dev "$vf"
            ip -n "$space" link set "$vf" up
        done""")
    # Over the wire into OVS-DPDK and back, then from VF to VF within the NIC.
    wait(lambda: rig.run("ip netns exec one ping -c 3 -W 2 10.9.0.1", check=False, timeout=30).ok, 90)
    wait(lambda: rig.run("ip netns exec one ping -c 3 -W 2 10.9.0.3", check=False, timeout=30).ok, 60)
    counted = rig.run("ovs-vsctl get Interface dpdk0 type error statistics:rx_packets", timeout=30).stdout.split()
    assert counted[0] == "dpdk"
    assert counted[1] == "[]"


def test_testpmd_passes_packets_between_nic_and_vf(applied: Practice) -> None:
    rig = applied.rig
    rig.run("systemctl stop ovs-vswitchd; ip link set enp65s0 up", timeout=120)
    vf = rig.run("basename $(readlink /sys/bus/pci/devices/0000:41:00.0/virtfn0)").stdout.strip()
    mac = rig.run("cat /sys/class/net/enp65s0v0/address").stdout.strip()
    rig.run(f"driverctl --nosave set-override {vf} vfio-pci")
    output = rig.run(
        f": >/run/testpmd; timeout 100 dpdk-testpmd --lcores 2@2,3@3 --main-lcore 2 -a 0000:81:00.0 -a {vf} --in-memory -m 256 -- "
        f"--total-num-mbufs=4096 --forward-mode=mac --eth-peer=0,{mac} --eth-peer=1,52:54:00:00:01:00 --tx-first "
        "--stats-period 2 >/run/testpmd & "
        "for _ in $(seq 100); do [ $(grep -c 'RX-packets: *[1-9]' /run/testpmd) -lt 4 ] || break; sleep 0.5; done; "
        "kill -INT %1; wait %1 || :; cat /run/testpmd",
        timeout=150,
    ).stdout
    ports = output.split("Accumulated forward statistics")[0]
    received = [int(line.split("RX-packets:")[1].split()[0]) for line in ports.splitlines() if "RX-packets:" in line]
    assert max(received[-4:-2]) > 0
    assert len(received) >= 4, output[-3000:]


def test_undo_restores_all_but_what_others_changed(applied: Practice, before: Looked) -> None:
    """After a reboot too: the disk's /etc byte for byte, GRUB's lines, drivers, functions, pages, services."""
    rig = applied.rig
    rig.run(
        "echo '# mine' >>/etc/modules-load.d/90-ouchi.conf; ovs-vsctl set Open_vSwitch . other_config:pmd-cpu-mask=0x4"
    )
    done, _ = applied.run_rebooting("undo", "--yes", status=1)
    assert (done["rebooted"], done["reboot_needed"]) == (True, [])
    assert sorted(finding["where"] for finding in done["findings"]) == [
        "/etc/modules-load.d/90-ouchi.conf", "other_config:pmd-cpu-mask",
    ]  # fmt: skip
    assert rig.run("tail -n 1 /etc/modules-load.d/90-ouchi.conf").stdout == "# mine\n"
    # Taken away by hand, undo comes to its end.
    rig.run("rm /etc/modules-load.d/90-ouchi.conf; ovs-vsctl remove Open_vSwitch . other_config pmd-cpu-mask")
    done, _ = applied.run("undo", "--yes")
    assert (done["reboot_needed"], done["findings"]) == ([], [])
    assert rig.run("ls /var/lib/ouchi-host", check=False).status != 0
    assert look(rig) == before
    result, _ = applied.run("undo", "--yes")
    assert result["undone"] == []


@pytest.mark.exhaustive
def test_killed_in_the_middle_of_every_step(applied: Practice, before: Looked) -> None:
    rig = applied.rig
    planned = look(rig)
    back = applied.killed_in_every_step("undo", "--yes", "--no-reboot")
    assert back == ["open vswitch", "VFs", "NICs", "networks", "irqbalance", "services", "modules", "kernel"]
    assert look(rig, boot=False) == without_boot(before)
    forth = applied.killed_in_every_step("apply", "--yes", "--no-reboot")
    assert forth == [*reversed(back), "connectivity"]
    assert look(rig) == planned
    assert "ouchi-rollback" not in rig.run("systemctl list-timers --all --no-pager").stdout


@pytest.mark.exhaustive
def test_a_vf_has_its_address_also_when_the_nic_did_not_answer_its_driver(fresh: Practice) -> None:
    """A driver that comes while the NIC is being reset makes up an address, which a trusted VF may keep."""
    macs = ["02:00:00:00:0a:00", "02:00:00:00:0a:01"]
    vfs = [{"mac": mac, "vlan": 0, "spoofchk": True, "trust": True} for mac in macs]
    resetting = """
        ip() {
            command ip "$@"
            case "$*" in *'vf 1 mac'*) ;; *) return 0 ;; esac
            if mkdir /run/once 2>/dev/null; then
                command ip link set enp65s0 down
                (sleep 1; command ip link set enp65s0 up) &
            fi
        }
        """
    rig = fresh.rig
    change = vfs_change("0000:41:00.0", vfs)
    rig.run(resetting + VfsKind().script(change.key, change.state), timeout=120)
    assert rig.run("cat /sys/class/net/enp65s0v?/address").stdout.split() == macs
    assert rig.run("ip link show enp65s0 | grep -c 02:00:00:00:0a:0").stdout == "2\n"
    off = {"count": 0, "up": False, "vfs": []}
    rig.run(VfsKind().script(change.key, off), timeout=120)


def test_what_keeps_the_machine_reached_is_refused(fresh: Practice, before: Looked, tmp_path: Path) -> None:
    _, output = fresh.run("apply", "--yes", status=2, site=site(tmp_path, pf="enp0s3", sriov="enp65s0"))
    assert "enp0s3 carries your session" in output
    assert look(fresh.rig) == before


def test_a_group_with_something_in_use_is_refused(applied: Practice, tmp_path: Path) -> None:
    rig = applied.rig
    planned = look(rig)
    rig.run("ip address add 192.0.2.1/24 dev ens2; ip link set ens2 up")
    _, output = applied.run("apply", "--yes", "--no-reboot", status=2, site=site(tmp_path, pf="ens1", sriov="enp65s0"))
    assert "the IOMMU group of the NIC ens1 holds something else that is in use" in output
    assert "(ens2: it has the address 192.0.2.1/24), driver e1000" in output
    assert look(rig) == planned


RDMA = """
    modprobe -a rdma_rxe nvmet-rdma nvme-rdma loop
    ip link set enp65s0 up; rdma link add rxe0 type rxe netdev enp65s0
    for _ in $(seq 20); do
        address=$(ip -6 -o address show dev enp65s0 scope link -tentative | grep -o 'fe80::[^/ ]*') && break; sleep 0.5
    done
    truncate -s 16M /root/disk; disk=$(losetup --find --show /root/disk)
    cd /sys/kernel/config/nvmet; mkdir -p subsystems/one/namespaces/1 ports/1
    echo 1 >subsystems/one/attr_allow_any_host
    echo "$disk" >subsystems/one/namespaces/1/device_path; echo 1 >subsystems/one/namespaces/1/enable
    echo rdma >ports/1/addr_trtype; echo ipv6 >ports/1/addr_adrfam
    echo "$address%enp65s0" >ports/1/addr_traddr; echo 4420 >ports/1/addr_trsvcid
    ln -s /sys/kernel/config/nvmet/subsystems/one ports/1/subsystems/one
    echo "transport=rdma,traddr=$address%enp65s0,trsvcid=4420,nqn=one,nr_io_queues=1" >/dev/nvme-fabrics
    rdma resource show qp; rm /root/disk"""
"""A disk by NVMe over RDMA, from this host to itself, by Soft-RoCE; the interface has no address but its link-local one."""


@pytest.mark.exhaustive
def test_a_nic_with_rdma_connections_is_refused(fresh: Practice) -> None:
    print(fresh.rig.run(RDMA, timeout=120).stdout)
    _, output = fresh.run("apply", "--yes", status=2)
    assert "enp65s0 carries RDMA connections of the kernel (rdma_cm)" in output
    fresh.rig.load("fresh")


def test_pages_that_do_not_fit_are_refused(fresh: Practice, before: Looked, tmp_path: Path) -> None:
    _, output = fresh.run(
        "apply", "--yes", status=2, site=site(tmp_path, pf="enp129s0", sriov="enp65s0", memory="8 GiB")
    )
    assert "error:" in output
    assert look(fresh.rig) == before


@pytest.mark.exhaustive
def test_parameters_of_the_user_are_kept(fresh: Practice) -> None:
    """A line edited by hand: kept beside ours, put back as it was, and refused where it contradicts the plan."""
    rig = fresh.rig
    rig.run("""cp -a /etc/default/grub /root/grub
        sed -i 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="console=ttyS0 my.word=1 isolcpus=3"  # by hand/' /etc/default/grub
        update-grub""", timeout=120)  # fmt: skip
    _, output = fresh.run("apply", "--yes", "--no-reboot", status=2)
    assert "your kernel command line contradicts the plan" in output
    assert "isolcpus=3" in output
    rig.run("sed -i 's/ isolcpus=3//' /etc/default/grub")
    _, output = fresh.run("apply", "--yes", "--no-reboot", status=2)
    assert "update-grub would change more than the plan" in output
    rig.run("update-grub; cp -a /etc/default/grub /root/mine", timeout=120)
    fresh.run("apply", "--yes", "--no-reboot")
    line = rig.run("grep -m 1 'linux.*vmlinuz' /boot/grub/grub.cfg").stdout
    assert "my.word=1" in line
    assert "isolcpus=domain,managed_irq,2-11" in line
    rig.run("cmp /etc/default/grub /root/mine")
    fresh.run("undo", "--yes", "--no-reboot")
    rig.run("cmp /etc/default/grub /root/mine; mv /root/grub /etc/default/grub; update-grub", timeout=120)


@pytest.mark.exhaustive
def test_a_read_only_etc_is_refused(fresh: Practice, before: Looked) -> None:
    fresh.rig.run("mount --bind /etc /etc; mount -o remount,bind,ro /etc")
    _, output = fresh.run("apply", "--yes", status=2)
    assert "folders that must change are read-only" in output
    fresh.rig.run("umount /etc")
    assert look(fresh.rig) == before


@pytest.mark.exhaustive
def test_without_a_network_nothing_is_half_done(fresh: Practice) -> None:
    """driverctl is missing and cannot be installed: reported before anything is changed."""
    rig = fresh.rig
    rig.run("dpkg --remove driverctl; ip route delete default", timeout=120)
    known = look(rig)
    _, output = fresh.run("apply", "--yes", "--no-reboot", status=3, timeout=400)
    assert "packages could not be installed" in output
    assert [line for line in look(rig) if line != "ouchi-host"] == known
    fresh.run("undo", "--yes", "--no-reboot")
    rig.load("fresh")


@pytest.mark.exhaustive
def test_two_runs_at_once(fresh: Practice) -> None:
    with fresh.until("kernel", "apply", "--yes", "--no-reboot") as first:
        _, output = fresh.run("apply", "--yes", status=2)
        assert "another ouchi is changing this machine" in output
        finished(first, 0, 120)
    fresh.run("undo", "--yes", "--no-reboot")


@pytest.mark.exhaustive
def test_rebooted_by_another_user_half_way(fresh: Practice) -> None:
    """The connection is lost in the middle; the next run finishes."""
    rig = fresh.rig
    with fresh.until("services", "apply", "--yes", "--no-reboot") as process:
        rig.run("systemctl reboot", check=False)
        rig.await_reboot(240)
        finished(process, 3, 120)
    fresh.run("apply", "--yes", "--no-reboot")
    result, _ = fresh.run("apply", "--dry-run")
    assert (result["steps"], result["reboot"]) == ([], [])
    fresh.run("undo", "--yes", "--no-reboot")


@pytest.mark.exhaustive
def test_a_power_cut_during_update_grub(fresh: Practice) -> None:
    """The old line or the new one; the machine starts, and the next run finishes."""
    rig = fresh.rig
    with fresh.until("kernel", "apply", "--yes", "--no-reboot"):
        wait(lambda: rig.run("pgrep -f grub-mkconfig", check=False).ok, 60)
        rig.power_cut()
    rig.boot()
    assert len(rig.run("grep -c ^ /boot/grub/grub.cfg").stdout) > 1
    fresh.run("apply", "--yes", "--no-reboot")
    assert "isolcpus=domain,managed_irq,2-11" in rig.run("grep -m 1 'linux.*vmlinuz' /boot/grub/grub.cfg").stdout
    fresh.run("undo", "--yes", "--no-reboot")


@pytest.mark.exhaustive
def test_a_power_cut_between_steps(applied: Practice, before: Looked) -> None:
    """In the middle of undo: what is left is undone by the next."""
    rig = applied.rig
    with applied.until("networks", "undo", "--yes", "--no-reboot"):
        rig.power_cut()
    rig.boot()
    applied.run("undo", "--yes", "--no-reboot")
    kept = without_boot(before)
    assert look(rig, boot=False) == kept


def test_unconfirmed_everything_is_rolled_back(
    applied: Practice, before: Looked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ouchi is gone before it has confirmed connectivity: the timer rolls all changes back, also those of runs before."""

    rig = applied.rig

    def gone(*_: object) -> None:
        assert rig.run("cat /sys/bus/pci/devices/0000:41:00.0/sriov_numvfs").stdout == "3\n"
        assert "ouchi-rollback.timer" in rig.run("systemctl list-timers --all --no-pager").stdout
        raise KeyboardInterrupt

    another = Practice(rig, tmp_path, pf="enp129s0", sriov="enp65s0")
    another.site.write_text(another.site.read_text().replace("vfs: 2", "vfs: 3"))
    monkeypatch.setattr(commit_confirm, "SECONDS", 60)
    monkeypatch.setattr(commit_confirm, "confirm", gone)
    with pytest.raises(KeyboardInterrupt):
        run_changes(in_process(another, monkeypatch, reboot=False), APPLY, as_json=True)
    wait(lambda: rig.run("test -e /var/lib/ouchi-host/rescued", check=False).ok, 240)
    kept = without_boot(before)
    assert [line for line in look(rig, boot=False) if line != "ouchi-host"] == kept
    another.run("undo", "--yes", "--no-reboot")
    assert look(rig, boot=False) == kept


@pytest.mark.exhaustive
def test_without_its_network_after_the_reboot_everything_is_rolled_back(
    fresh: Practice, before: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new settings cut the machine off: it waits for its address, rolls all back and reboots once more."""
    rig = fresh.rig
    # Here it is our own file that keeps the network away, so that it is there again when that is gone.
    rig.run(f"""cd /etc/systemd/system; mkdir systemd-networkd.service.d
        printf '[Unit]\\nConditionPathExists=!{FILE}\\n' >systemd-networkd.service.d/cut.conf""")
    monkeypatch.setattr(reboot, "CARRIER_SECONDS", 30)
    changes = in_process(fresh, monkeypatch, reboot=True)
    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(run_changes, changes, APPLY, as_json=True)
        rig.await_reboot(240)
        with pytest.raises(Failed, match="did not come back on the network with the new settings"):
            applying.result(timeout=300)
    assert "isolcpus" not in rig.run("cat /proc/cmdline").stdout
    rig.run("rm -r /etc/systemd/system/systemd-networkd.service.d; systemctl daemon-reload")
    fresh.run("undo", "--yes")
    assert look(rig) == before


def in_process(practice: Practice, monkeypatch: pytest.MonkeyPatch, *, reboot: bool) -> list[Apply]:
    """The rig for an ouchi that runs here, so that its patience can be shortened."""
    config = str(practice.rig.ssh_config)
    monkeypatch.setenv("OUCHI_SSH_CONFIG", config)
    options = Options(dry_run=False, yes=True, reboot=reboot)
    return [Apply(host, Instance(), options) for host in hosts_of(str(practice.site), (), config)]
