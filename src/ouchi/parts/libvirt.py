"""A libvirtd of our own.

Its folders under /etc, /var and /run are ours, bound over the usual ones in a mount namespace that only it
and its guests see. So the machine's own libvirt, when there is one, keeps its domains, and nothing of ours
is left in /etc/libvirt.
"""

from __future__ import annotations

from ouchi.core.instance import Instance
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.parts.supervise import Service
from ouchi.steps.journal import Journal

QEMU = "/usr/bin/qemu-system-x86_64"
QEMU_32 = "/usr/bin/qemu-system-i386"
KIND = "libvirt"
BOUND = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "run": "/run/libvirt",
}
"""Our folder below ``<state>/libvirt`` and the place it takes in libvirtd's view."""


def service(instance: Instance) -> Service:
    """libvirtd, in the foreground. Guests outlive it: they are no children of its group."""
    return Service(
        "libvirtd",
        ("/bin/sh", f"{instance.etc}/libvirt/start"),
        {**instance.environment, "PATH": f"{instance.etc}/libvirt/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        group=False,
    )


def prepare(
    machine: Machine, journal: Journal, instance: Instance, *, emulated: bool, qemu_version: tuple[int, ...]
) -> None:
    """Folders, configuration, the start script and, where it is needed, the QEMU wrapper."""
    for folder, place in BOUND.items():
        machine.make_folder(f"{instance.state}/libvirt/{folder}")
        if not machine.exists(place):
            journal.note(KIND, place, {})
            machine.make_folder(place)
    machine.make_folder(f"{instance.run}/libvirt")
    machine.make_folder(f"{instance.etc}/libvirt/bin")
    machine.write(f"{instance.etc}/libvirt/libvirtd.conf", _libvirtd_conf(instance))
    machine.write(f"{instance.state}/libvirt/etc/qemu.conf", _qemu_conf(instance))
    machine.write(f"{instance.etc}/libvirt/start", _start_script(instance, emulated=emulated), mode=0o755)
    machine.write(f"{instance.etc}/libvirt/no-kvm", "", mode=0)
    wrapper = f"{instance.etc}/libvirt/bin/qemu-system-x86_64"
    if needs_wrapper(emulated=emulated, version=qemu_version):
        machine.write(wrapper, _WRAPPER, mode=0o755)
    else:
        machine.remove(wrapper)


def undo(machine: Machine, journal: Journal) -> list[str]:
    """Remove the empty folders that were only there to be bound over."""
    done = []
    for place in journal.records(KIND):
        if machine.exists(place) and not machine.entries(place):
            machine.remove(place)
            done.append(f"{place} removed")
        journal.forget(KIND, place)
    return done


def needs_wrapper(*, emulated: bool, version: tuple[int, ...]) -> bool:
    """QEMU 7.2 under emulation ends when a guest turns on MSI-X of a vhost-user NIC; QEMU 10 does not.

    Where between them it was mended is not known to us, so every version before 10 gets the wrapper.
    """
    return emulated and version < (10,)


_WRAPPER = f"""#!/bin/sh
# Written by ouchi: without MSI-X vectors a vhost-user NIC works under emulation in QEMU before version 10.
exec {QEMU} "$@" -global virtio-net-pci.vectors=0
"""


def _start_script(instance: Instance, *, emulated: bool) -> str:
    """A fixed script: a mount namespace, our folders in it, libvirtd.

    libvirt asks QEMU for its capabilities, four seconds of processor time for each binary, and keeps the answer
    only while its own view of ``/dev/kvm`` agrees with QEMU's. Where KVM does not work both are made to see none;
    the 32-bit emulator, which nobody here uses, is hidden too.
    """
    binds = [f"mount --bind {instance.state}/libvirt/{folder} {place}" for folder, place in BOUND.items()]
    binds.append(f"[ ! -e {QEMU_32} ] || mount --bind /dev/null {QEMU_32}")
    if emulated:
        binds.append(f"[ ! -e /dev/kvm ] || mount --bind {instance.etc}/libvirt/no-kvm /dev/kvm")
    lines = "\n".join(binds)
    return f"""#!/bin/sh
# Written by ouchi: libvirtd with folders of its own.
set -eu
if [ "${{1:-}}" != inside ]; then
    exec unshare --mount --propagation slave -- /bin/sh "$0" inside
fi
{lines}
exec /usr/sbin/libvirtd --config {instance.etc}/libvirt/libvirtd.conf --pid-file {instance.run}/libvirt/libvirtd.pid
"""


def _libvirtd_conf(instance: Instance) -> str:
    return f"""# Written by ouchi; changes made here are lost.
unix_sock_dir = "{instance.run}/libvirt"
unix_sock_rw_perms = "0700"
auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid_source = "machine-id"
log_outputs = "2:stderr"
min_workers = 2
max_workers = 8
"""


def _qemu_conf(instance: Instance) -> str:
    return f"""# Written by ouchi; changes made here are lost.
hugetlbfs_mount = "{instance.hugepages}"
stdio_handler = "file"
security_driver = "none"
namespaces = []
cgroup_controllers = []
remember_owner = 0
"""


def wait_until_ready(machine: Machine, instance: Instance, *, new: bool) -> None:
    """Wait until libvirtd answers; a ``new`` one until it knows its QEMU, so that nova-compute need not wait for that."""
    question = ("domcapabilities", "--machine", "q35") if new else ("uri",)

    def probe() -> None:
        answer = machine.run(("virsh", "-q", "-c", instance.libvirt_uri, *question), check=False, timeout=60)
        if not answer.ok:
            raise NotYet(answer.stderr.strip()[-200:])

    wait_for("libvirtd", probe, seconds=60, remedy="ouchi logs libvirtd")
