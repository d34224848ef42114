"""What apply asks of a machine: steps from plans, refusals, reasons to restart. Pure: recorded machines, made-up surroundings."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.apply import boot, cards, reboot
from ouchi.apply.refusals import refusals
from ouchi.apply.steps import host_steps
from ouchi.apply.surroundings import Surroundings, parse
from ouchi.changes import Change, path
from ouchi.render.host import Host
from tests.plans import wanted_of

AROUND = Surroundings(
    boot_id="one",
    systemd=True,
    loader="grub",
    own_words=("quiet", "splash"),
    kernel_cmdline="",
    read_only=(),
    allowed=frozenset(range(12)),
    services=frozenset(range(12)),
    units={},
    active=frozenset(),
    users={},
    programs=frozenset({"driverctl"}),
    groups={},
    governors=frozenset(),
    naming={},
)


def ryzen(**boot_facts: object) -> Host:
    wanted = wanted_of("ryzen-5-3600")
    facts = wanted.facts
    return Host(wanted.site, replace(facts, boot=replace(facts.boot, **boot_facts)), wanted.plan)


def changes(host: Host, around: Surroundings = AROUND) -> dict[str, Change]:
    return {change.key: change for step in host_steps(host, around) for change in step.changes}


def texts(host: Host, around: Surroundings = AROUND) -> dict[str, str]:
    return {key: path.text_of(c.state) for key, c in changes(host, around).items() if "file" in (c.state or {})}


def claims(host: Host, around: Surroundings) -> list[str]:
    return [finding.claim for finding in refusals(host, around)]


def test_the_steps_of_the_talks_machine() -> None:
    steps = host_steps(ryzen(), AROUND)
    assert [step.name for step in steps] == ["kernel", "modules", "services", "cards"]
    assert [step.name for step in steps if step.booted] == ["cards"]
    assert [step.name for step in steps if step.cuts] == ["cards"]


def test_the_users_words_are_kept_and_not_repeated() -> None:
    """``iommu=pt`` stands in the user's line: it is not added a second time."""
    around = replace(AROUND, own_words=("quiet", "iommu=pt"))
    line = texts(ryzen(), around)["/etc/default/grub.d/90-ouchi.cfg"].splitlines()[-1]
    _, ours = shlex.split(line)[0].split("} ", 1)
    assert ours.split() == [word for word in ryzen().plan.kernel_args if word != "iommu=pt"]


def test_a_line_that_says_all_already_needs_no_file() -> None:
    around = replace(AROUND, own_words=("quiet", *ryzen().plan.kernel_args))
    assert "kernel" not in [step.name for step in host_steps(ryzen(), around)]
    assert claims(ryzen(), around) == []


@pytest.mark.parametrize(
    ("word", "planned"),
    [
        ("isolcpus=3", "isolcpus=domain,managed_irq,1-5,7-11"),
        ("hugepages=7", "default_hugepagesz"),
        ("nohz_full=2", "nohz_full=1-5,7-11"),
    ],
)
def test_words_that_contradict_the_plan_are_refused(word: str, planned: str) -> None:
    [finding] = refusals(ryzen(), replace(AROUND, own_words=("quiet", word)))
    assert (finding.claim, finding.found) == ("your kernel command line contradicts the plan", word)
    assert finding.expected.startswith(planned)


def test_systemd_boot_gets_the_line_with_ours_at_its_end() -> None:
    around = replace(AROUND, loader="systemd-boot", own_words=(), kernel_cmdline="root=UUID=1 rw quiet\n")
    change = changes(ryzen(), around)[boot.ENTRY]
    assert path.text_of(change.state) == f"root=UUID=1 rw quiet {' '.join(ryzen().plan.kernel_args)}\n"
    assert change.then == ("kernel entries",)
    # Made once, it stays as it is.
    again = replace(around, kernel_cmdline=path.text_of(change.state))
    assert changes(ryzen(), again)[boot.ENTRY] == change


def test_without_the_file_systemd_boots_line_is_the_running_kernels() -> None:
    around = replace(AROUND, loader="systemd-boot", own_words=())
    host = ryzen(parameters=("BOOT_IMAGE=/vmlinuz", "initrd=/i", "root=/dev/x", "ro"))
    assert path.text_of(changes(host, around)[boot.ENTRY].state).startswith("root=/dev/x ro default_hugepagesz=")


def test_a_host_without_a_boot_loader_that_we_know() -> None:
    assert claims(ryzen(), replace(AROUND, loader="")) == ["no boot loader that ouchi knows"]
    assert "kernel" not in [step.name for step in host_steps(ryzen(), replace(AROUND, loader=""))]
    # Nothing is missing there: whoever wrote it did it their way.
    host = ryzen(parameters=ryzen().plan.kernel_args)
    assert claims(host, replace(AROUND, loader="")) == []


def test_the_second_port_of_a_card_is_taken_along_when_it_is_idle() -> None:
    groups = {"0000:05:00.0": {"0000:05:00.1": "i40e"}}
    around = replace(AROUND, groups=groups)
    assert cards.companions(ryzen(), around) == ("0000:05:00.1",)
    assert claims(ryzen(), around) == []
    assert changes(ryzen(), around)["0000:05:00.1"].state == {"saved": "vfio-pci", "driver": "vfio-pci"}


def test_a_group_with_something_in_use_is_refused_with_what_is_in_it() -> None:
    groups = {"0000:05:00.0": {"0000:06:00.0": "r8169", "0000:02:00.1": "ahci", "0000:00:03.1": "pcieport"}}
    [finding] = refusals(ryzen(), replace(AROUND, groups=groups))
    assert finding.claim == "the IOMMU group of the NIC enp5s0f0 holds something else that is in use"
    assert (
        finding.found == "0000:06:00.0 (enp6s0: it carries the default route), driver r8169, 0000:02:00.1, driver ahci"
    )


def test_a_card_in_the_networks_configuration_is_refused() -> None:
    [finding] = refusals(ryzen(), replace(AROUND, naming={"enp5s0f0": ("/etc/netplan/01.yaml",)}))
    assert (finding.where, finding.claim) == (
        "/etc/netplan/01.yaml",
        "the NIC enp5s0f0 is configured for the kernel's network",
    )


def test_everything_that_is_in_the_way_is_said_at_once() -> None:
    around = replace(
        AROUND, systemd=False, loader="", read_only=("/etc",), allowed=frozenset({1, 2}), naming={"enp5s0f0": ("/x",)}
    )
    assert claims(ryzen(), around) == [
        "systemd does not run this machine",
        "folders that must change are read-only",
        "no boot loader that ouchi knows",
        "the NIC enp5s0f0 is configured for the kernel's network",
        "your session runs only on CPUs that would be isolated",
    ]


def test_an_iommu_that_no_restart_brings_is_refused() -> None:
    host = ryzen(iommu=False, iommu_reason="off: the firmware shows none (no DMAR table)")
    assert claims(host, AROUND) == ["there is no IOMMU, which vfio-pci needs"]
    # It may come with the words that are still missing.
    host = ryzen(iommu=False, iommu_reason="off: intel_iommu=on is missing", parameters=("quiet",))
    assert claims(host, AROUND) == []


def test_services_that_the_host_has_are_configured() -> None:
    around = replace(
        AROUND,
        units={"irqbalance.service": "enabled", "NetworkManager.service": "enabled", "ovs-vswitchd.service": "static"},
        active=frozenset({"systemd-networkd.service", "ovs-vswitchd.service"}),
        users={"libvirt-qemu": "64055:994"},
        governors=frozenset(range(12)),
    )
    host = ryzen()
    assert [step.name for step in host_steps(host, around)] == [
        "kernel", "modules", "services", "irqbalance", "governor", "networks", "cards", "sockets", "open vswitch",
    ]  # fmt: skip
    assert [step.name for step in host_steps(host, around, own_switch=True)][-1] == "cards"
    found = texts(host, around)
    assert (
        'Environment="IRQBALANCE_BANNED_CPULIST=1-5,7-11"'
        in found["/etc/systemd/system/irqbalance.service.d/90-ouchi.conf"]
    )
    assert "unmanaged-devices+=mac:02:00:00:00:00:01" in found["/etc/NetworkManager/conf.d/90-ouchi.conf"]
    assert "Unmanaged=yes" in found["/etc/systemd/network/05-ouchi.network"]
    governors = [key for key in changes(host, around) if key.endswith("scaling_governor")]
    assert len(governors) == len(host.quiet_cpus)
    # tuned sets the governor itself.
    names = [step.name for step in host_steps(host, replace(around, active=around.active | {"tuned.service"}))]
    assert "tuned" in names
    assert "governor" not in names


def test_why_a_restart_is_needed() -> None:
    host = ryzen(parameters=("quiet",))
    kernel, services = reboot.reasons(host, AROUND)
    assert kernel == f"the kernel was started without {' '.join(host.plan.kernel_args)}"
    assert services == "services run on CPUs 0-11; after a restart on 0,6"
    done = ryzen(parameters=("quiet", *host.plan.kernel_args))
    assert reboot.reasons(done, replace(AROUND, services=frozenset({0, 6}))) == []


def test_every_virtual_function_has_an_address_of_its_own_that_stays() -> None:
    macs = {cards.vf_mac(site, address, number) for site in "ab" for address in "cd" for number in range(64)}
    assert len(macs) == 256
    assert cards.vf_mac("a", "c", 0) in macs
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)  # locally administered, not a group's (IEEE 802, clause 8.2)


def test_systemd_words() -> None:
    assert reboot._systemd_word('a b"$HOME" 50% \\') == '"a b\\"$$HOME\\" 50%% \\\\"'


@given(st.text())
def test_no_text_of_a_host_is_too_odd(text: str) -> None:
    lines = "".join(
        f"{subject}\t{text}\n" for subject in ("words", "cmdline", "read-only", "active", "program", "init")
    )
    assert parse(lines).loader == ""
