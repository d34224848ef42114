"""What is on a host around the plan: how it boots, which services it has, who may write where. Read in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from ouchi.core.cpulist import parse_cpus
from ouchi.machine import Machine


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A host at one moment.

    ``boot_id`` changes with every start. ``systemd``: it is process 1. ``loader``: ``grub``, ``systemd-boot`` or empty.
    ``own_words``: the words of the kernel's command line that are not ours, as the boot loader's files have them; with
    systemd-boot they are empty until :func:`ouchi.host.boot.told_apart`. ``kernel_cmdline``: the text of the file that
    systemd-boot's ``entries`` are made with, empty without one; those of this system's kernels, by path, with the options
    of each. ``read_only``: folders that cannot be written.
    ``allowed``: the CPUs that the user's session may run on. ``services``: CPUs that process 1 gives to services.
    ``units``: those of interest that are installed, with ``enabled`` and the like; ``active``: those that run.
    ``users``: of those that folders are for, the numbers. ``programs`` of those that are needed, by path.
    ``tuned``: the folder of the administrator's profiles; empty where it is ``/etc/tuned`` itself, as before 2.23.
    ``groups``: for each card's address who else is in its IOMMU group, with the driver of each (none while the IOMMU is
    off). ``governors``: CPUs whose frequency has one. ``naming``: configuration files of the network in which a card's name stands.
    """

    boot_id: str
    systemd: bool
    loader: str
    own_words: tuple[str, ...]
    kernel_cmdline: str
    entries: dict[str, str]
    read_only: tuple[str, ...]
    allowed: frozenset[int]
    services: frozenset[int]
    units: dict[str, str]
    active: frozenset[str]
    users: dict[str, str]
    programs: frozenset[str]
    tuned: str
    groups: dict[str, dict[str, str]]
    governors: frozenset[int]
    naming: dict[str, tuple[str, ...]]


def look_around(machine: Machine, cards: Sequence[str]) -> Surroundings:
    """Read them; ``cards`` are names and PCI addresses of the cards that the plan uses."""
    told = machine.run(("sh", "-c", script(), "sh", *filter(None, cards)), timeout=60).stdout
    return parse(told)


def script() -> str:
    """What is run for it."""
    files = resources.files("ouchi.host")
    return "".join(files.joinpath(name).read_text(encoding="utf-8") for name in ("surroundings.sh", "loader.sh"))


def parse(text: str) -> Surroundings:
    """From what ``surroundings.sh`` prints: lines of a subject, a tab, and what is said of it."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        subject, _, rest = line.partition("\t")
        said.setdefault(subject, []).append(rest)

    def one(subject: str) -> str:
        return said.get(subject, [""])[0].strip()

    def pairs(subject: str) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in said.get(subject, []) if " " in line)

    naming: dict[str, tuple[str, ...]] = {}
    for line in said.get("naming", []):
        card, _, path = line.partition(" ")
        naming[card] = (*naming.get(card, ()), path)
    groups: dict[str, dict[str, str]] = {}
    for line in said.get("group", []):
        card, member, kernel_driver = line.split(" ", 2)
        groups.setdefault(card, {})[member] = kernel_driver.strip()
    return Surroundings(
        boot_id=one("boot"),
        systemd=one("init") == "systemd",
        loader=one("loader"),
        own_words=tuple(one("words").split()),
        kernel_cmdline="".join(f"{line}\n" for line in said.get("cmdline", [])),
        entries={path: options for line in said.get("entry", []) for path, _, options in [line.partition(" ")]},
        read_only=tuple(said.get("read-only", ())),
        allowed=frozenset(parse_cpus(one("allowed")) if one("allowed") else ()),
        services=frozenset(parse_cpus(one("services")) if one("services") else ()),
        units=pairs("unit"),
        active=frozenset(said.get("active", ())),
        users=pairs("user"),
        programs=frozenset(said.get("program", ())),
        tuned=one("tuned"),
        groups=groups,
        governors=frozenset(int(cpu) for cpu in said.get("governor", ())),
        naming=naming,
    )
