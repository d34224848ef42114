"""What all rigs of a cache share, made once: tools, image, and a disk with the base state."""

from __future__ import annotations

from pathlib import PurePath

from ouchi.core.events import Say
from ouchi.core.instance import Instance
from ouchi.live.kvm import remembered
from ouchi.machine.local import LocalMachine
from ouchi.rig.debian import require_tools
from ouchi.rig.image import build_image, package_text
from ouchi.rig.making import digest, making
from ouchi.rig.parts import PARTS, Parts
from ouchi.rig.rig import Rig
from ouchi.rig.tools import Tools, unpack_tools


def prepare(machine: LocalMachine, cache: PurePath | str, say: Say) -> Parts:
    """Everything that rigs need, in ``cache`` (800 MB); made unless it is there: some two minutes.

    Callers see to it that only one prepares in a cache. Killed at any point, the next call goes on with what is
    complete. Raises :class:`~ouchi.core.errors.OuchiError` when packages are missing or something cannot be made.
    """
    cache = PurePath(cache)
    machine.make_folder(cache, mode=0o700)
    require_tools(machine, cache, say)
    tools = unpack_tools(machine, cache, say)
    image = build_image(machine, tools, cache, say)
    kvm = kvm_here(machine, tools, cache)
    key = digest(tools.key, image.key, package_text("hardware.py"), str(kvm))
    parts = Parts(tools, image, kvm, cache / f"base-{key}" / "disk.qcow2")
    if not machine.exists(parts.base):
        make_base(machine, parts, say)
    machine.write(cache / PARTS, parts.to_json(), mode=0o600)
    return parts


def kvm_here(machine: LocalMachine, tools: Tools, cache: PurePath) -> bool:
    """Does KVM work here? Asked once in the life of the machine's kernel."""
    boot = f"kvm-{machine.read('/proc/sys/kernel/random/boot_id').strip()}"
    for name in machine.entries(cache):
        if name.startswith("kvm-") and name != boot:
            machine.remove(cache / name)
    machine.make_folder(cache / boot)
    works, _ = remembered(machine, Instance(run=str(cache / boot)), tools.qemu())
    return works


def make_base(machine: LocalMachine, parts: Parts, say: Say) -> None:
    """Boot once from the image and keep the state in which everything has started."""
    say("booting it for the first time")
    with making(machine, parts.base.parent) as work:
        with Rig(machine, parts, work / "rig", say) as rig:
            rig.make_base()
        machine.run(("mv", str(work / "rig/disk.qcow2"), str(work)))
        machine.remove(work / "rig")
