"""Whether a guest really starts under KVM on this host."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ouchi.core.instance import Instance
from ouchi.machine import CommandFailed, Machine, Reader

BOOT_SECTOR = bytes.fromhex("b021" + "baf400" + "ee" + "f4" + "ebfd").ljust(510, b"\0") + b"\x55\xaa"
"""mov al,0x21; mov dx,0xf4; out dx,al; hlt; jmp $-1: QEMU's isa-debug-exit then ends with (0x21 << 1) | 1."""
SUCCESS = (0x21 << 1) | 1


QEMU = ("qemu-system-x86_64",)


def kvm_works(machine: Machine, instance: Instance, qemu: Sequence[str] = QEMU) -> tuple[bool, str]:
    """Start a guest under KVM that reports its success; return whether it worked, and the reason.

    A ``/dev/kvm`` that exists proves nothing: nested or restricted machines have one on which guests hang.
    The guest runs SeaBIOS and then one boot sector; five seconds are a thousand times what that takes.
    """
    if not machine.exists("/dev/kvm"):
        return False, "there is no /dev/kvm"
    image = f"{instance.run}/kvm-probe.img"
    machine.write(image, BOOT_SECTOR)
    argv = (*qemu, "-accel", "kvm", "-machine", "q35", "-m", "64", "-display", "none", "-nodefaults")
    device = ("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-drive", f"file={image},format=raw,if=virtio")
    try:
        answer = machine.run((*argv, *device), timeout=5, check=False)
    except CommandFailed:
        return False, "/dev/kvm is there, but a guest hangs on it"
    finally:
        machine.remove(image)
    if answer.status == SUCCESS:
        return True, "a guest started under KVM"
    return False, f"a guest does not start under KVM: {answer.stderr.strip().splitlines()[-1:] or answer.status}"


def remembered(machine: Machine, instance: Instance, qemu: Sequence[str] = QEMU) -> tuple[bool, str]:
    """Return :func:`kvm_works`, evaluated once in the life of the run folder, which ends with ``down`` or a reboot."""
    path = f"{instance.run}/kvm.json"
    if machine.exists(path):
        works, why = json.loads(machine.read(path))
        return bool(works), str(why)
    answer = kvm_works(machine, instance, qemu)
    machine.write(path, json.dumps(answer))
    return answer


def known(machine: Reader, instance: Instance) -> bool | None:
    """Return whether KVM works as :func:`remembered` has stored it; None when it has not yet."""
    path = f"{instance.run}/kvm.json"
    return bool(json.loads(machine.read(path))[0]) if machine.exists(path) else None


def qemu_version(machine: Machine) -> tuple[int, ...]:
    """Return QEMU's version, for example (7, 2, 22)."""
    text = machine.run(("qemu-system-x86_64", "--version")).stdout
    found = re.search(r"version (\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()
