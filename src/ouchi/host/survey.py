"""The survey of a host before it is changed: boot loader, services, permissions. Read by one script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from ouchi.core.cpulist import parse_cpus
from ouchi.machine import Machine


@dataclass(frozen=True, slots=True)
class Survey:
    """A host at one moment.

    - ``boot_id``: a UUID that is new with every boot
    - ``loader``: ``grub``, ``systemd-boot`` or empty
    - ``user_params``: the kernel parameters in the boot loader's files that are not ouchi's; with systemd-boot empty
      until :func:`ouchi.host.boot.split_params`
    - ``kernel_cmdline``: the text of ``/etc/kernel/cmdline``, from which kernel-install makes the ``entries``
    - ``entries``: the options of each boot loader entry for this system's kernels, by path
    - ``read_only``: folders that cannot be written
    - ``allowed``: the CPUs that the user's session may run on
    - ``services``: the CPUs on which process 1 starts services
    - ``units``: installed systemd units of interest and their state (``enabled`` …); ``active``: those that run
    - ``qemu``: the UID of libvirt-qemu; empty where there is no such user
    - ``programs``: installed programs of interest
    - ``tuned``: the folder of the administrator's profiles; empty where it is ``/etc/tuned`` itself, as before 2.23
    - ``governors``: the CPUs that have a frequency governor
    - ``naming``: by a NIC's name the files of the network configuration that contain it
    """

    boot_id: str
    loader: str
    user_params: tuple[str, ...]
    kernel_cmdline: str
    entries: dict[str, str]
    read_only: tuple[str, ...]
    allowed: frozenset[int]
    services: frozenset[int]
    units: dict[str, str]
    active: frozenset[str]
    qemu: str
    programs: frozenset[str]
    tuned: str
    governors: frozenset[int]
    naming: dict[str, tuple[str, ...]]


def take_survey(machine: Machine, nics: Sequence[str] = ()) -> Survey:
    """Run the script; ``nics`` are names of the NICs in the plan."""
    return parse(machine.run(("sh", "-c", script(), "sh", *filter(None, nics)), timeout=60).stdout)


def script() -> str:
    """The script, in the POSIX shell."""
    files = resources.files("ouchi.host")
    return "".join(files.joinpath(name).read_text(encoding="utf-8") for name in ("survey.sh", "loader.sh"))


def parse(text: str) -> Survey:
    """Parse the output of ``survey.sh``: lines of a subject, a tab and a value."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        subject, _, rest = line.partition("\t")
        values.setdefault(subject, []).append(rest)

    def one(subject: str) -> str:
        return values.get(subject, [""])[0].strip()

    naming: dict[str, tuple[str, ...]] = {}
    for line in values.get("naming", []):
        nic, _, path = line.partition(" ")
        naming[nic] = (*naming.get(nic, ()), path)
    return Survey(
        boot_id=one("boot"),
        loader=one("loader"),
        user_params=tuple(one("params").split()),
        kernel_cmdline="".join(f"{line}\n" for line in values.get("cmdline", [])),
        entries={path: options for line in values.get("entry", []) for path, _, options in [line.partition(" ")]},
        read_only=tuple(values.get("read-only", ())),
        allowed=frozenset(parse_cpus(one("allowed")) if one("allowed") else ()),
        services=frozenset(parse_cpus(one("services")) if one("services") else ()),
        units=dict(line.split(" ", 1) for line in values.get("unit", []) if " " in line),
        active=frozenset(values.get("active", ())),
        qemu=one("qemu"),
        programs=frozenset(values.get("program", ())),
        tuned=one("tuned"),
        governors=frozenset(int(cpu) for cpu in values.get("governor", ())),
        naming=naming,
    )
