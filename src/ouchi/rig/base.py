"""The assets that all rigs of a cache share: tools, image, and a disk with the base state."""

from __future__ import annotations

from pathlib import PurePath

from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.live.kvm import remembered
from ouchi.machine import Machine
from ouchi.machine.background import Launcher
from ouchi.rig.assets import ASSETS, Assets, read_assets
from ouchi.rig.building import building, digest
from ouchi.rig.debian import require_tools
from ouchi.rig.hardware import Shape
from ouchi.rig.image import Image, build_image, package_text
from ouchi.rig.rig import Rig
from ouchi.rig.tools import Tools, unpack_tools

MADE = ("tools-", "image-", "base-")
"""The beginnings of the names of what is made in a cache, each once for a version of ouchi."""


def prepare(machine: Launcher, cache: PurePath | str, notify: Notify, shape: Shape = Shape.ONE_NODE) -> Assets:
    """The assets in ``cache`` (0.9 GB), made where they are missing, which takes some two minutes.

    Callers must hold a lock on the cache. When it is killed, the next call continues with what was complete.
    Raises :class:`~ouchi.core.errors.OuchiError` when packages are missing or something cannot be made.
    """
    cache = PurePath(cache)
    machine.make_folder(cache, mode=0o700)
    require_tools(machine, cache, notify)
    tools = unpack_tools(machine, cache, notify)
    image = build_image(machine, tools, cache, notify)
    kvm = kvm_here(machine, tools, cache)
    assets = assets_of(cache, tools, image, shape, kvm=kvm)
    if not machine.exists(assets.base):
        make_base(machine, assets, notify)
    machine.write(cache / ASSETS, assets.to_json(), mode=0o600)
    return assets


def assets_of(cache: PurePath, tools: Tools, image: Image, shape: Shape, *, kvm: bool) -> Assets:
    """The assets of a shape, made or not: the name of the base has a key of everything that it depends on."""
    key = digest(tools.key, image.key, package_text("hardware.py"), str(kvm), shape)
    return Assets(tools, image, kvm, cache / f"base-{key}" / "disk.qcow2", shape)


def remove_unused(machine: Machine, cache: PurePath, *rigs: Assets | None) -> list[str]:
    """Remove tools, images and bases of other versions of ouchi; return their names.

    Kept is what the last :func:`prepare` used, the bases of all shapes beside it, and what ``rigs`` were made from.
    Callers must hold a lock on the cache.
    """
    unused = unused_of(machine, cache, *rigs)
    for name in unused:
        machine.remove(cache / name)
    return unused


def unused_of(machine: Machine, cache: PurePath, *rigs: Assets | None) -> list[str]:
    """The names of what :func:`remove_unused` removes."""
    last = read_assets(machine, cache)
    if last is None:
        return []
    shapes = [assets_of(cache, last.tools, last.image, shape, kvm=last.kvm) for shape in Shape]
    used = {
        folder.name
        for assets in (last, *shapes, *filter(None, rigs))
        for folder in (assets.tools.folder, assets.image.folder, assets.base.parent)
    }
    return [name for name in machine.entries(cache) if name.startswith(MADE) and name not in used]


def kvm_here(machine: Launcher, tools: Tools, cache: PurePath) -> bool:
    """True when KVM works here; tried once per boot of the machine."""
    boot = f"kvm-{machine.read('/proc/sys/kernel/random/boot_id').strip()}"
    for name in machine.entries(cache):
        if name.startswith("kvm-") and name != boot:
            machine.remove(cache / name)
    machine.make_folder(cache / boot)
    works, _ = remembered(machine, Instance(run=str(cache / boot)), tools.qemu())
    return works


def make_base(machine: Launcher, assets: Assets, notify: Notify) -> None:
    """Boot once from the image and save the state in which every unit has started."""
    notify("booting it for the first time")
    with building(machine, assets.base.parent) as work:
        with Rig(machine, assets, work / "rig", notify) as rig:
            rig.make_base()
        machine.run(("mv", str(work / "rig/disk.qcow2"), str(work)))
        machine.remove(work / "rig")
