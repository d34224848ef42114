"""Does a guest really start under KVM here?"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ouchi.core.instance import Instance
from ouchi.live.sections import numbers
from ouchi.machine import CommandFailed, Machine, Reader, Result

BOOT_SECTOR = bytes.fromhex("b021" + "baf400" + "ee" + "f4" + "ebfd").ljust(510, b"\0") + b"\x55\xaa"
"""mov al,0x21; mov dx,0xf4; out dx,al; hlt; jmp $-1: QEMU's isa-debug-exit then ends with (0x21 << 1) | 1."""
SUCCESS = (0x21 << 1) | 1
DISK_BYTES = 1 << 20
"""SeaBIOS 1.16 reads no disk of a single sector ("could not read the boot disk"), nor one of 128 KiB."""


QEMU = ("qemu-system-x86_64",)


def boots(machine: Machine, instance: Instance, qemu: Sequence[str], accelerator: str, seconds: float = 5.0) -> Result:
    """Boot the guest that ends with :data:`SUCCESS`. Raises CommandFailed when it has not ended after ``seconds``."""
    image = f"{instance.run}/kvm-probe.img"
    machine.write(image, BOOT_SECTOR.ljust(DISK_BYTES, b"\0"))
    argv = (*qemu, "-accel", accelerator, "-machine", "q35", "-m", "64", "-display", "none", "-nodefaults")
    device = ("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-drive", f"file={image},format=raw,if=virtio")
    try:
        return machine.run((*argv, *device), timeout=seconds, check=False)
    finally:
        machine.remove(image)


def kvm_works(machine: Machine, instance: Instance, qemu: Sequence[str] = QEMU) -> tuple[bool, str]:
    """Boot a guest under KVM that reports its success; return whether it booted, and the reason.

    That ``/dev/kvm`` exists does not mean that it works: on some nested or restricted hosts guests hang. The guest
    runs SeaBIOS and one boot sector, which takes milliseconds; it has five seconds.
    """
    if not machine.exists("/dev/kvm"):
        return False, "there is no /dev/kvm"
    try:
        answer = boots(machine, instance, qemu, "kvm")
    except CommandFailed:
        return False, "/dev/kvm is there, but a guest hangs on it"
    if answer.status == SUCCESS:
        return True, "a guest started under KVM"
    return False, f"a guest does not start under KVM: {answer.stderr.strip().splitlines()[-1:] or answer.status}"


def remembered(machine: Machine, instance: Instance, qemu: Sequence[str] = QEMU) -> tuple[bool, str]:
    """Return the result of :func:`kvm_works`, run once and kept in the run folder until ``down`` or a reboot."""
    path = f"{instance.run}/kvm.json"
    if not machine.exists(path):
        machine.write(path, json.dumps(kvm_works(machine, instance, qemu)))
    works, why = json.loads(machine.read(path))
    return bool(works), str(why)


def known(machine: Reader, instance: Instance) -> bool | None:
    """Return the kept result of :func:`remembered`; None if there is none yet."""
    path = f"{instance.run}/kvm.json"
    return bool(json.loads(machine.read(path))[0]) if machine.exists(path) else None


def qemu_version(machine: Machine) -> tuple[int, ...]:
    """QEMU's version, for example (7, 2, 22)."""
    return numbers(machine.run((*QEMU, "--version")).stdout)
