"""What apply asks of a machine: steps from plans, refusals, reasons to reboot. Pure: recorded machines, made-up surveys."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.flows.apply import host_steps
from ouchi.host import boot, boot_loader, nics, reboot
from ouchi.host.refusals import refusals
from ouchi.host.survey import Survey, parse, script
from ouchi.machine.local import LocalMachine
from ouchi.plan.nics import vf_mac
from ouchi.plan.target import Target
from ouchi.steps import Change, Record
from ouchi.steps import file as path
from ouchi.steps.journal import Journal
from tests.plans import target_of

SURVEY = Survey(
    boot_id="one",
    loader="grub",
    user_params=("quiet", "splash"),
    kernel_cmdline="",
    entries={},
    read_only=(),
    allowed=frozenset(range(12)),
    services=frozenset(range(12)),
    units={},
    active=frozenset(),
    qemu="",
    programs=frozenset({"driverctl"}),
    tuned="",
    governors=frozenset(),
    naming={},
)


def ryzen(**boot_facts: object) -> Target:
    target = target_of("ryzen-5-3600")
    facts = target.facts
    return Target(target.site, replace(facts, boot=replace(facts.boot, **boot_facts)), target.plan)


def changes(target: Target, survey: Survey = SURVEY) -> dict[str, Change]:
    return {change.key: change for step in host_steps(target, survey) for change in step.changes}


def texts(target: Target, survey: Survey = SURVEY) -> dict[str, str]:
    return {key: path.text_of(c.state) for key, c in changes(target, survey).items() if "file" in (c.state or {})}


def claims(target: Target, survey: Survey) -> list[str]:
    return [finding.claim for finding in refusals(target, survey)]


def test_the_steps_of_the_talks_machine() -> None:
    steps = host_steps(ryzen(), SURVEY)
    assert [step.name for step in steps] == ["kernel", "modules", "services", "NICs"]
    assert [step.name for step in steps if step.booted] == ["NICs"]
    assert [step.name for step in steps if step.cuts] == ["NICs"]


def test_user_parameters_are_kept_and_not_repeated() -> None:
    """``iommu=pt`` stands in the user's line: it is not added a second time."""
    survey = replace(SURVEY, user_params=("quiet", "iommu=pt"))
    line = texts(ryzen(), survey)["/etc/default/grub.d/90-ouchi.cfg"].splitlines()[-1]
    _, ours = shlex.split(line)[0].split("} ", 1)
    assert ours.split() == [word for word in ryzen().plan.kernel_args if word != "iommu=pt"]


def test_a_line_that_has_all_parameters_needs_no_file() -> None:
    survey = replace(SURVEY, user_params=("quiet", *ryzen().plan.kernel_args))
    assert "kernel" not in [step.name for step in host_steps(ryzen(), survey)]
    assert claims(ryzen(), survey) == []


@pytest.mark.parametrize(
    ("word", "planned"),
    [
        ("isolcpus=3", "isolcpus=domain,managed_irq,1-5,7-11"),
        ("hugepages=7", "default_hugepagesz"),
        ("nohz_full=2", "nohz_full=1-5,7-11"),
    ],
)
def test_parameters_that_contradict_the_plan_are_refused(word: str, planned: str) -> None:
    [finding] = refusals(ryzen(), replace(SURVEY, user_params=("quiet", word)))
    assert (finding.claim, finding.found) == ("your kernel command line contradicts the plan", word)
    assert finding.expected.startswith(planned)


def systemd_boot(
    line: str, running: str = "", added: Sequence[str] = (), entries: dict[str, str] | None = None
) -> Survey:
    """A host of systemd-boot with this file, running kernel, added parameters and entries."""
    survey = replace(SURVEY, loader="systemd-boot", user_params=(), kernel_cmdline=line, entries=entries or {})
    return boot.split_params(survey, running.split(), added)


PLANNED = ryzen().plan.kernel_args


def line_of(survey: Survey) -> str:
    return texts(ryzen(), survey)[boot.ENTRY].removesuffix("\n")


@pytest.mark.parametrize(
    ("file", "running", "expected"),
    [
        ("root=UUID=1 rw quiet\n", "", "root=UUID=1 rw quiet"),
        ("root=UUID=1 rw\n# quiet=no, a comment\n  quiet\n", "", "root=UUID=1 rw quiet"),
        ("", "BOOT_IMAGE=/vmlinuz initrd=\\i root=/dev/x ro systemd.machine_id=1", "root=/dev/x ro systemd.machine_id=1"),
    ],
)  # fmt: skip
def test_systemd_boot_gets_the_line_with_ours_at_its_end(file: str, running: str, expected: str) -> None:
    survey = systemd_boot(file, running)
    assert line_of(survey) == f"{expected} {' '.join(PLANNED)}"
    assert changes(ryzen(), survey)[boot.ENTRY].then == ("kernel entries",)
    assert boot.user_line(survey) == f"{expected}\n"
    # Made once, it stays as it is.
    assert line_of(systemd_boot(line_of(survey), added=PLANNED)) == line_of(survey)


def test_parameters_of_a_previous_plan_leave_systemd_boots_line() -> None:
    former = ("hugepagesz=2M", "hugepages=8", "isolcpus=2-3", "nohz_full=2-3")
    survey = systemd_boot(f"root=/dev/x {' '.join(former)} later=1\n", added=(*former, *PLANNED))
    assert line_of(survey) == f"root=/dev/x later=1 {' '.join(PLANNED)}"
    assert claims(ryzen(), survey) == []


def test_user_parameters_are_not_repeated_in_systemd_boots_line() -> None:
    survey = systemd_boot("root=/dev/x iommu=pt quiet\n")
    assert line_of(survey).split().count("iommu=pt") == 1
    assert line_of(survey).startswith("root=/dev/x iommu=pt quiet ")
    complete = systemd_boot(f"root=/dev/x {' '.join(PLANNED)}\n")
    assert "kernel" not in [step.name for step in host_steps(ryzen(), complete)]


@pytest.mark.parametrize(
    ("file", "running", "where"),
    [("root=/dev/x isolcpus=3\n", "", boot.ENTRY), ("", "root=/dev/x isolcpus=3", "/proc/cmdline")],
)
def test_parameters_that_contradict_the_plan_are_refused_with_systemd_boot(file: str, running: str, where: str) -> None:
    [finding] = refusals(ryzen(), systemd_boot(file, running))
    assert (finding.claim, finding.where, finding.found) == (
        "your kernel command line contradicts the plan", where, "isolcpus=3",
    )  # fmt: skip
    # Those that ouchi has added are not the user's.
    assert refusals(ryzen(), systemd_boot(file, running, added=("isolcpus=3",))) == []


@pytest.mark.parametrize(
    ("options", "first", "claim"),
    [
        ("root=/dev/x quiet", True, ""),
        ("quiet root=/dev/x systemd.machine_id=1", True, ""),
        ("root=/dev/x quiet mine=1", True, "kernel-install would change more than the plan"),
        ("root=/dev/x", True, "kernel-install would change more than the plan"),
        ("root=/dev/x quiet isolcpus=2", False, ""),
        (None, True, "systemd-boot has no entry for a kernel of this system"),
        (None, False, "systemd-boot has no entry for a kernel of this system"),
    ],
)
def test_entries_that_kernel_install_would_not_write_so(options: str | None, first: bool, claim: str) -> None:
    entries = {} if options is None else {"/boot/loader/entries/id-6.12.conf": options}
    found = boot.foreign_entries(systemd_boot("root=/dev/x quiet\n", entries=entries), first=first)
    assert [finding.claim for finding in found] == ([claim] if claim else [])


def file_state(text: str) -> dict[str, str]:
    return path.file(boot.ENTRY, text).state


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ("root=/dev/x old=1\n", "root=/dev/x # first\n"),  # as it was made
        ("root=/dev/x quiet old=1\n", "root=/dev/x quiet\n"),  # the user has added a word since
    ],
)
def test_what_undo_puts_back_into_systemd_boots_line(now: str, before: str, tmp_path: Path) -> None:
    """The parameters of a previous plan stay known, and the user's own are not lost."""
    machine = LocalMachine()
    journal = Journal(machine, str(tmp_path))
    journal.set_note(boot.PARAMETERS, ["old=1"])
    before_ours, made = file_state("root=/dev/x # first\n"), file_state("root=/dev/x old=1\n")
    journal.put([Record("kernel", "file", boot.ENTRY, before_ours, made, ("kernel entries",))])
    survey = systemd_boot(now, added=boot.added_params(journal))
    [kernel] = [step for step in host_steps(ryzen(), survey) if step.name == "kernel"]
    entry = next(change for change in kernel.changes if change.key == boot.ENTRY)
    params = boot.planned_params(ryzen(), survey)
    boot_loader.note_parameters(journal, survey, params, entry=file_state(now), rewrites=boot.ENTRIES in entry.then)
    assert journal.records("file")[0].before == file_state(before)
    assert boot.added_params(journal) == ("old=1", *PLANNED)


@pytest.mark.parametrize(
    ("words", "options", "there"),
    [
        ("a=1 b=2", "root=x a=1 b=2", True),
        ("a=1 b=2", "root=x a=1", False),
        ("a=1 b=2", "root=x a=1 b=2 a=1", False),
        ("hugepagesz=1G hugepages=8 hugepagesz=2M hugepages=8", "hugepagesz=1G hugepages=8 hugepagesz=2M hugepages=8", True),
    ],
)  # fmt: skip
def test_what_an_entry_must_hold(words: str, options: str, there: bool) -> None:
    assert boot.wrong_entries(words.split(), {"/entry": options}) == ({} if there else {"/entry": options})


def utf16(text: str) -> bytes:
    """As the firmware's variables have it, after their attributes."""
    return b"\x06\0\0\0" + f"{text}\0".encode("utf-16-le")


BOTH = ("update-grub", "kernel-install")
GRUB = {"etc/default/grub": b'GRUB_CMDLINE_LINUX="mine=1"\nGRUB_CMDLINE_LINUX_DEFAULT=quiet\n'}
ENTRIES = {
    "boot/efi/loader/entries/id-6.12.conf": b"title x\noptions    root=/dev/x quiet\nlinux /x\n",
    "boot/efi/loader/entries/other-5.conf": b"options theirs\n",
    "lib/modules/6.12/modules.dep": b"",
    "etc/kernel/cmdline": b"root=/dev/x\n  quiet",
}
STARTED = "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"


@pytest.mark.parametrize(
    ("files", "programs", "loader"),
    [
        (GRUB, BOTH, "grub"),
        (GRUB, (), ""),
        (ENTRIES, BOTH, "systemd-boot"),
        (ENTRIES, (), ""),
        (GRUB | ENTRIES, BOTH, "grub"),
        (GRUB | ENTRIES | {STARTED: utf16("systemd-boot 257.13-1~deb13u1")}, BOTH, "systemd-boot"),
        (GRUB | ENTRIES | {STARTED: utf16("systemd-boot 257")}, ("update-grub",), ""),
        (GRUB | ENTRIES | {STARTED: utf16("GRUB 2.12-9")}, BOTH, "grub"),
        (ENTRIES | {STARTED: utf16("GRUB 2.12-9")}, BOTH, ""),
        (GRUB | {STARTED: utf16("systemd-boot 257")}, BOTH, "systemd-boot"),
        (GRUB | {STARTED: utf16("rEFInd 0.14")}, BOTH, "grub"),
        (GRUB | {STARTED: b""}, BOTH, "grub"),
        ({}, BOTH, ""),
    ],
)
def test_which_loader_starts_the_machine(
    files: dict[str, bytes], programs: Sequence[str], loader: str, tmp_path: Path
) -> None:
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in programs:
        (tools / name).symlink_to("/bin/true")
    for name in ("sed", "tail", "tr"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        ["/bin/sh", "-c", script()], env={"PATH": str(tools), "OUCHI_ROOT": str(tmp_path)}, capture_output=True, check=True,
    )  # fmt: skip
    survey = parse(done.stdout.decode())
    assert survey.loader == loader
    assert survey.user_params == (("mine=1", "quiet") if loader == "grub" else ())
    there = loader == "systemd-boot" and "etc/kernel/cmdline" in files
    assert survey.kernel_cmdline == ("root=/dev/x\nquiet\n" if there else "")
    options = {"/boot/efi/loader/entries/id-6.12.conf": "root=/dev/x quiet "}
    assert survey.entries == (options if there else {})


def test_a_host_without_a_boot_loader_that_we_know() -> None:
    assert claims(ryzen(), replace(SURVEY, loader="")) == ["no supported boot loader"]
    assert "kernel" not in [step.name for step in host_steps(ryzen(), replace(SURVEY, loader=""))]
    # Nothing is missing there: the user has set them in another way.
    target = ryzen(parameters=ryzen().plan.kernel_args)
    assert claims(target, replace(SURVEY, loader="")) == []


def grouped(*members: tuple[str, str]) -> Target:
    """The host with these functions and their drivers in the IOMMU group of the NIC of OVS-DPDK."""
    target = ryzen()
    addresses, drivers = zip(*members, strict=True)
    of = {"0000:05:00.0": {"group_with": addresses, "group_drivers": drivers}}
    nics = tuple(replace(nic, **of.get(nic.address, {"group_with": ()})) for nic in target.facts.nics)
    return replace(target, facts=replace(target.facts, nics=nics))


def test_the_second_port_of_a_nic_is_bound_too_when_it_is_idle() -> None:
    target = grouped(("0000:05:00.1", "i40e"))
    assert nics.companions(target) == ("0000:05:00.1",)
    assert claims(target, SURVEY) == []
    assert changes(target, SURVEY)["0000:05:00.1"].state == {"saved": "vfio-pci", "driver": "vfio-pci"}


def test_a_group_with_something_in_use_is_refused_with_what_is_in_it() -> None:
    target = grouped(("0000:06:00.0", "r8169"), ("0000:02:00.1", "ahci"), ("0000:00:03.1", "pcieport"))
    [finding] = refusals(target, SURVEY)
    assert finding.claim == "the IOMMU group of the NIC enp5s0f0 holds something else that is in use"
    assert finding.found == (
        "group 15: 0000:06:00.0 (enp6s0: it carries the default route), driver r8169, 0000:02:00.1, driver ahci"
    )


def test_a_nic_in_the_network_configuration_is_refused() -> None:
    [finding] = refusals(ryzen(), replace(SURVEY, naming={"enp5s0f0": ("/etc/netplan/01.yaml",)}))
    assert (finding.where, finding.claim) == (
        "/etc/netplan/01.yaml",
        "the NIC enp5s0f0 is configured for the kernel's network",
    )


def test_all_refusals_are_reported_at_once() -> None:
    survey = replace(SURVEY, loader="", read_only=("/etc",), allowed=frozenset({1, 2}), naming={"enp5s0f0": ("/x",)})
    target = ryzen()
    facts = replace(target.facts, system=replace(target.facts.system, pid1="supervisord"))
    assert claims(replace(target, facts=facts), survey) == [
        "systemd is not process 1",
        "folders that must change are read-only",
        "no supported boot loader",
        "the NIC enp5s0f0 is configured for the kernel's network",
        "your session runs only on CPUs that would be isolated",
    ]


def test_an_iommu_that_no_reboot_enables_is_refused() -> None:
    target = ryzen(iommu=False, iommu_reason="off: the firmware shows none (no DMAR table)")
    assert claims(target, SURVEY) == ["there is no IOMMU, which vfio-pci needs"]
    # It may come with the parameters that are still missing.
    target = ryzen(iommu=False, iommu_reason="off: intel_iommu=on is missing", parameters=("quiet",))
    assert claims(target, SURVEY) == []


def test_services_that_the_host_has_are_configured() -> None:
    survey = replace(
        SURVEY,
        units={"irqbalance.service": "enabled", "NetworkManager.service": "enabled", "ovs-vswitchd.service": "static"},
        active=frozenset({"systemd-networkd.service", "ovs-vswitchd.service"}),
        qemu="64055",
        governors=frozenset(range(12)),
    )
    target = ryzen()
    assert [step.name for step in host_steps(target, survey)] == [
        "kernel", "modules", "services", "irqbalance", "governor", "networks", "NICs", "sockets", "open vswitch",
    ]  # fmt: skip
    assert [step.name for step in host_steps(target, survey, own_ovs=True)][-1] == "NICs"
    found = texts(target, survey)
    assert (
        'Environment="IRQBALANCE_BANNED_CPULIST=1-5,7-11"'
        in found["/etc/systemd/system/irqbalance.service.d/90-ouchi.conf"]
    )
    assert "unmanaged-devices+=mac:02:00:00:00:00:01" in found["/etc/NetworkManager/conf.d/90-ouchi.conf"]
    assert "Unmanaged=yes" in found["/etc/systemd/network/05-ouchi.network"]
    governors = [key for key in changes(target, survey) if key.endswith("scaling_governor")]
    assert len(governors) == len(target.isolated_cpus)
    # tuned sets the governor itself.
    names = [step.name for step in host_steps(target, replace(survey, active=survey.active | {"tuned.service"}))]
    assert "tuned" in names
    assert "governor" not in names


@pytest.mark.parametrize("folder", ["", "/etc/tuned/profiles"])
def test_tuned_finds_the_profile_and_reads_it_anew(folder: str) -> None:
    survey = replace(SURVEY, active=frozenset({"tuned.service"}), tuned=folder)
    change = changes(ryzen(), survey)[f"{folder or '/etc/tuned'}/ouchi/tuned.conf"]
    assert change.then == ("tuned",)


def test_why_a_reboot_is_needed() -> None:
    target = ryzen(parameters=("quiet",))
    kernel, services = reboot.reasons(target, SURVEY)
    assert kernel == f"the kernel was booted without {' '.join(target.plan.kernel_args)}"
    assert services == "services run on CPUs 0-11; after a reboot on 0,6"
    done = ryzen(parameters=("quiet", *target.plan.kernel_args))
    assert reboot.reasons(done, replace(SURVEY, services=frozenset({0, 6}))) == []


def test_every_vf_has_an_address_of_its_own_that_stays() -> None:
    macs = {vf_mac(site, address, number) for site in "ab" for address in "cd" for number in range(64)}
    assert len(macs) == 256
    assert vf_mac("a", "c", 0) in macs
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)  # locally administered, not a group's (IEEE 802, clause 8.2)


def test_words_of_a_unit_file() -> None:
    assert reboot.systemd_quoted('a b"$HOME" 50% \\') == '"a b\\"$$HOME\\" 50%% \\\\"'


@given(st.text())
def test_no_text_of_a_host_is_too_odd(text: str) -> None:
    lines = "".join(f"{subject}\t{text}\n" for subject in ("params", "cmdline", "read-only", "active", "program"))
    assert parse(lines).loader == ""
