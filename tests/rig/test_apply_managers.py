"""apply and undo beside what else manages hosts: systemd-boot's kernel-install, tuned, NetworkManager, ifupdown, netplan.

The rig is made a machine on which all of them run, changed once without a restart, looked at with each one's own
programs, changed for another plan, and put back. The tests run in order.
"""

from __future__ import annotations

import json
from difflib import unified_diff
from pathlib import Path

import pytest
from practice import Practice, PracticeRig, look, site

from ouchi.rig.hardware import MANAGEMENT_MAC

pytestmark = pytest.mark.exhaustive

SYSTEMD_BOOT = r"""
# As if systemd-boot had started it: its name among the firmware's variables, GRUB's files beside it.
mkdir -p /run/firmware/acpi /run/firmware/efi/efivars
mount --bind /sys/firmware/acpi /run/firmware/acpi
mount --rbind /run/firmware /sys/firmware
{ printf '\006\0\0\0'; printf 'systemd-boot 257' | sed 's/./&\x00/g'; } \
    >/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f
# An EFI partition on a disk of its own, with an entry as a kernel's installation makes it.
truncate -s 200M /var/esp
printf 'label: gpt\ntype=U\n' | sfdisk -q /var/esp
disk=$(losetup --show -Pf /var/esp)
udevadm settle
mkfs.vfat "${disk}p1" >/dev/null
mkdir -p /boot/efi
mount "${disk}p1" /boot/efi
udevadm settle
bootctl -q --no-variables install
# Beside the entry it lists the kernel's modules anew, which takes an emulated CPU 22 s each time.
ln -s /dev/null /etc/kernel/install.d/50-depmod.install
kernel-install add "$(uname -r)" "/boot/vmlinuz-$(uname -r)"
"""

TUNED = r"""
cp /usr/bin/sleep /root/qemu-system-x86_64
systemd-run -q --unit=guest -p CPUAffinity=3 /root/qemu-system-x86_64 infinity
systemd-run -q --unit=other -p CPUAffinity=3 sleep infinity
systemctl start tuned.service
"""

NETWORK_MANAGER = rf"""
printf '[main]\nno-auto-default=*\n[keyfile]\nunmanaged-devices=mac:{MANAGEMENT_MAC}\n' >/etc/NetworkManager/conf.d/10-rig.conf
systemctl start NetworkManager.service
nm-online -qs -t 30
"""

OTHERS = r"""
find /boot/efi -type f -print0 | sort -z | xargs -0 sha256sum
tuned-adm active
tuned-adm profile_mode
nmcli -t -f DEVICE,STATE device
for unit in guest other; do taskset -pc "$(systemctl show -P MainPID $unit)" | sed 's/.*: //'; done
cat /sys/devices/virtual/workqueue/cpumask
"""
"""What undo must leave as it was beyond what :func:`practice.look` sees: entries, profile, devices, CPUs of programs."""


def everything(rig: PracticeRig) -> list[str]:
    # Started for a message of D-Bus's, they end by themselves when none comes.
    rig.run("systemctl stop NetworkManager-dispatcher.service systemd-hostnamed.service polkit.service")
    return [*look(rig), *rig.run(OTHERS, timeout=60).stdout.splitlines()]


def changed(rig: PracticeRig, before: list[str]) -> list[str]:
    """What is not as it was."""
    return [line for line in unified_diff(before, everything(rig), n=0, lineterm="") if not line.startswith("@@")]


def options(rig: PracticeRig) -> list[str]:
    """The words that systemd-boot would start the kernel with, as it reads them."""
    [entry] = [one for one in json.loads(rig.run("bootctl --json=short list").stdout) if one["type"] == "type1"]
    return str(entry["options"]).split()


def states(rig: PracticeRig) -> dict[str, str]:
    """What NetworkManager says of the devices."""
    lines = rig.run("nmcli -t -f DEVICE,STATE device").stdout.splitlines()
    return dict(line.split(":") for line in lines)


def cpus_of(rig: PracticeRig, unit: str) -> str:
    return rig.run(f"taskset -pc $(systemctl show -P MainPID {unit})").stdout.rpartition(": ")[2].strip()


def planned(practice: Practice, path: Path | None = None) -> list[str]:
    plan, _ = practice.run("plan", site=path)
    return list(plan["kernel_args"])


@pytest.fixture(scope="module")
def practice(rig: PracticeRig, tmp_path_factory: pytest.TempPathFactory) -> Practice:
    """The rig with all of them; what :func:`practice.look` asks Open vSwitch needs its database."""
    rig.run("systemctl start ovsdb-server.service", timeout=120)
    for script in (SYSTEMD_BOOT, TUNED, NETWORK_MANAGER):
        rig.run(script, timeout=180)
    return Practice(rig, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def before(practice: Practice) -> list[str]:
    """What the machine was before."""
    return everything(practice.rig)


def test_what_contradicts_the_plan_is_refused_all_at_once(practice: Practice, before: list[str]) -> None:
    """A NIC in ifupdown's and netplan's files, which both read, and words of the user's for kernel-install."""
    rig = practice.rig
    rig.run(r"""
        cp -a /etc/network/interfaces /root
        printf 'auto enp1s0\niface enp1s0 inet dhcp\n' >>/etc/network/interfaces
        ifquery enp1s0
        printf 'network: {ethernets: {enp1s0: {dhcp4: true}}}\n' >/etc/netplan/01-rig.yaml
        chmod 600 /etc/netplan/01-rig.yaml
        netplan get ethernets.enp1s0 | grep -q dhcp4
        printf 'root=/dev/vda1 isolcpus=3\n' >/etc/kernel/cmdline
    """)
    _, output = practice.run("apply", "--yes", "--no-reboot", status=2)
    for claim in (
        "your kernel command line contradicts the plan",
        "the NIC enp1s0 is configured for the kernel's network",
        "kernel-install would change more than the plan",
    ):
        assert claim in output
    for text in ("/etc/network/interfaces", "/etc/netplan/01-rig.yaml", "/etc/kernel/cmdline", "isolcpus=3"):
        assert text in output
    rig.run("mv /root/interfaces /etc/network; rm /etc/netplan/01-rig.yaml /etc/kernel/cmdline")
    assert changed(rig, before) == []


@pytest.mark.usefixtures("before")
def test_it_is_changed(practice: Practice) -> None:
    done, _ = practice.run("apply", "--yes", "--no-reboot")
    assert {"kernel", "tuned", "networks"} <= {step["step"] for step in done["steps"]}
    result, _ = practice.run("apply", "--dry-run")
    assert {step["step"] for step in result["steps"]} <= {"NICs", "VFs"}, "what waits for the restart"


def test_systemd_boot_would_start_the_kernel_as_planned(practice: Practice) -> None:
    """Its files count, GRUB's are left alone; the user's words stay, ours are there once."""
    words = options(practice.rig)
    ours = planned(practice)
    assert [words.count(word) for word in ours] == [1] * len(ours)
    running = practice.rig.run("cat /proc/cmdline").stdout.split()
    assert set(running) - {running[0]} < set(words)
    assert practice.rig.run("ls /etc/default/grub.d", check=False).stdout.count("ouchi") == 0


def test_tuned_runs_with_the_profile(practice: Practice) -> None:
    """It moves what runs on isolated CPUs, but for guests; services' CPUs are systemd's to keep."""
    rig = practice.rig
    assert rig.run("tuned-adm active").stdout == "Current active profile: ouchi\n"
    rig.run(": >/var/log/tuned/tuned.log; tuned-adm verify -i", check=False)
    verified = rig.run("grep 'verify: ' /var/log/tuned/tuned.log", check=False).stdout.splitlines()
    wrong = [line for line in verified if "verify: failed" in line]
    # The interrupts of the virtio NICs' queues are the kernel's own to place.
    assert [line for line in wrong if "SMP affinity of IRQ" not in line] == []
    assert any("verify: passed" in line for line in verified)
    assert cpus_of(rig, "guest") == "3"
    assert cpus_of(rig, "other") == "0,1"
    assert rig.run("cat /sys/devices/virtual/workqueue/cpumask").stdout == "003\n"
    assert rig.run("grep -c ^CPUAffinity /etc/systemd/system.conf", check=False).stdout == "0\n"


def test_network_manager_leaves_the_nic_alone(practice: Practice, before: list[str]) -> None:
    """That NIC and no other; the file of ours adds to the user's list."""
    now = states(practice.rig)
    was = {name: state for name, state in now.items() if f"{name}:{state}" in before}
    assert now.keys() - was.keys() == {"enp1s0"}
    assert now["enp1s0"] == "unmanaged"
    assert now["enp0s3"] == "unmanaged"
    assert {now["enp2s0"], now["ens1"]}.isdisjoint({"unmanaged"})


def test_another_plan_removes_the_parameters_of_the_previous(practice: Practice, tmp_path: Path) -> None:
    other = site(tmp_path, memory="2 GiB")
    former, words = planned(practice), planned(practice, other)
    assert former != words
    practice.run("apply", "--yes", "--no-reboot", site=other)
    now = options(practice.rig)
    assert [now.count(word) for word in words] == [1] * len(words)
    assert set(now).isdisjoint(set(former) - set(words))
    assert practice.rig.run("tuned-adm active").stdout == "Current active profile: ouchi\n"


def test_undo_restores_all(practice: Practice, before: list[str]) -> None:
    """Also when the kernel runs with ouchi's parameters, which kernel-install would take from it."""
    rig = practice.rig
    words = " ".join(planned(practice))
    rig.run(
        f"{{ tr -d '\\n' </proc/cmdline; echo ' {words}'; }} >/run/cmdline; mount --bind /run/cmdline /proc/cmdline"
    )
    done, _ = practice.run("undo", "--yes", "--no-reboot")
    assert done["findings"] == []
    assert "the kernel was booted with" in done["reboot_needed"][0]
    rig.run("umount /proc/cmdline")
    assert changed(rig, before) == []
