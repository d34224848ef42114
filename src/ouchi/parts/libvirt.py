"""A libvirtd of our own, and its virtlogd, which writes what guests print on their consoles, within bounds.

Their folders under /etc, /var and /run are ours, bound over the usual ones in mount namespaces that only they
and the guests see. So the machine's own libvirt, when there is one, keeps its domains, and nothing of ours
is left in /etc/libvirt.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ouchi.clients.libvirt import virsh
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.machine.processes import guests_of, kill_guest
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon, File
from ouchi.parts.supervise import Service
from ouchi.steps import engine, file
from ouchi.steps.journal import Journal

QEMU = "/usr/bin/qemu-system-x86_64"
QEMU_32 = "/usr/bin/qemu-system-i386"
WRAPPER = "libvirt/bin/qemu-system-x86_64"
STEP = "libvirt"
BOUND = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "run": "/run/libvirt",
}
"""Our folder below ``<state>/libvirt`` and the place it takes in libvirtd's view."""

LOG_BYTES, OLD_LOGS = 1 << 20, 1
"""The size at which virtlogd starts a guest's console, and QEMU's log, anew; and how many full ones it keeps of each."""

GUEST_SECONDS = 6.0
"""How long guests may take to power off by themselves before they are stopped."""


class Libvirt(Daemon):
    name = "libvirtd"
    stage = "cloud"
    needs = ("kvm", "hugetlbfs")
    service_names = ("virtlogd", "libvirtd")

    def files(self, at: Context) -> Mapping[str, File]:
        return files(at.instance, emulated=at.settings.emulated, qemu_version=at.qemu_version)

    def services(self, at: Context) -> Sequence[Service]:
        return services(at.instance)

    def prepare(self, at: Context, notify: Notify) -> str:
        for folder in BOUND:
            at.machine.make_folder(f"{at.instance.state}/libvirt/{folder}")
        engine.make(at.journal, STEP, [file.folder(path) for path in BOUND.values()])
        at.machine.make_folder(f"{at.instance.run}/libvirt")
        at.machine.make_folder(f"{at.instance.etc}/libvirt/bin")
        if at.path(WRAPPER) not in map(at.path, self.files(at)):
            at.machine.remove(at.path(WRAPPER))
        return ""

    def wait(self, at: Context, *, started: bool) -> None:
        wait_until_ready(at.machine, at.instance, new=started)

    def remove(self, at: Context) -> Outcome:
        """Stop the guests, then libvirtd; nova is gone by now, else it would note that its servers shall be off."""
        outcomes = (stop_guests(at.machine, at.instance), super().remove(at))
        texts = [outcome.text for outcome in outcomes if outcome.changed] + undo(at.journal)
        return changed("; ".join(texts)) if texts else nothing("not running")


def services(instance: Instance) -> Sequence[Service]:
    """Both daemons, in the foreground. Guests outlive libvirtd: they are no children of its group.

    They outlive virtlogd too, but then what they print is in no file until they are started again.
    """
    return [
        Service(
            name,
            ("/bin/sh", f"{instance.etc}/libvirt/start", name),
            {**instance.environment, "PATH": f"{instance.etc}/libvirt/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            group=False,
            # QEMU's user must pass through the folders that libvirtd makes, which closes what is in them.
            umask=0o022,
        )
        for name in Libvirt.service_names
    ]


def files(instance: Instance, *, emulated: bool, qemu_version: tuple[int, ...]) -> dict[str, File]:
    """Configuration, the start script and, where it is needed, the QEMU wrapper."""
    found = {
        "libvirt/libvirtd.conf": File(_libvirtd_conf(instance), 0o644, folder=0o755),
        "libvirt/virtlogd.conf": File(_virtlogd_conf(), 0o644, folder=0o755),
        f"{instance.state}/libvirt/etc/qemu.conf": File(_qemu_conf(instance), 0o644, folder=0o755),
        "libvirt/start": File(_start_script(instance, emulated=emulated), 0o755, folder=0o755),
        "libvirt/no-kvm": File("", 0, folder=0o755),
    }
    if needs_wrapper(emulated=emulated, version=qemu_version):
        found[WRAPPER] = File(_WRAPPER, 0o755, folder=0o755)
    return found


def stop_guests(machine: Machine, instance: Instance) -> Outcome:
    """Ask every guest to power off, then stop those that have not; also without libvirtd."""
    guests = guests_of(instance)
    if not guests:
        return nothing("no guest runs")
    count = len(guests)
    names = virsh(machine, instance, "list", "--name", check=False, timeout=10).split()
    for name in names:
        virsh(machine, instance, "shutdown", name, "--mode", "acpi", check=False)
    end = time.monotonic() + (GUEST_SECONDS if names else 0)
    while (guests := guests_of(instance)) and time.monotonic() < end:
        time.sleep(0.1)
    for guest in guests:
        kill_guest(guest)
    return changed(f"{count} guests stopped" + (f", {len(guests)} of them not by themselves" if guests else ""))


def undo(journal: Journal) -> list[str]:
    """Remove the empty folders that were only there to be bound over."""
    return [f"{record.key} removed" for record in engine.undo(journal, journal.records(step=STEP))]


def needs_wrapper(*, emulated: bool, version: tuple[int, ...]) -> bool:
    """QEMU 7.2 under emulation ends when a guest turns on MSI-X of a vhost-user NIC; QEMU 10 does not.

    Which version between them fixed it is not known, so every version before 10 gets the wrapper.
    """
    return emulated and version < (10,)


_WRAPPER = f"""#!/bin/sh
# Written by ouchi: without MSI-X vectors a vhost-user NIC works under emulation in QEMU before version 10.
exec {QEMU} "$@" -global virtio-net-pci.vectors=0
"""


def _start_script(instance: Instance, *, emulated: bool) -> str:
    """A fixed script: a mount namespace, our folders in it, the daemon that is named.

    libvirt asks QEMU for its capabilities, four seconds of processor time for each binary, and keeps the answer
    only while its own view of ``/dev/kvm`` agrees with QEMU's. Where KVM does not work both are made to see none;
    the 32-bit emulator, which nobody here uses, is hidden too.
    """
    binds = [f"mount --bind {instance.state}/libvirt/{folder} {path}" for folder, path in BOUND.items()]
    binds.append(f"[ ! -e {QEMU_32} ] || mount --bind /dev/null {QEMU_32}")
    if emulated:
        binds.append(f"[ ! -e /dev/kvm ] || mount --bind {instance.etc}/libvirt/no-kvm /dev/kvm")
    lines = "\n".join(binds)
    return f"""#!/bin/sh
# Written by ouchi: libvirtd or virtlogd with folders of its own.
set -eu
if [ "${{2:-}}" != inside ]; then
    exec unshare --mount --propagation slave -- /bin/sh "$0" "$1" inside
fi
{lines}
exec "/usr/sbin/$1" --config "{instance.etc}/libvirt/$1.conf" --pid-file "{instance.run}/libvirt/$1.pid"
"""


def _libvirtd_conf(instance: Instance) -> str:
    return f"""# Written by ouchi; changes made here are lost.
unix_sock_dir = "{instance.run}/libvirt"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid_source = "machine-id"
log_outputs = "2:stderr"
min_workers = 2
max_workers = 8
"""


def _virtlogd_conf() -> str:
    return f"""# Written by ouchi; changes made here are lost.
log_outputs = "2:stderr"
max_size = {LOG_BYTES}
max_backups = {OLD_LOGS}
"""


def _qemu_conf(instance: Instance) -> str:
    return f"""# Written by ouchi; changes made here are lost.
hugetlbfs_mount = "{instance.hugepages}"
stdio_handler = "logd"
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

    def logs() -> None:
        if not machine.exists(f"{instance.state}/libvirt/run/virtlogd-sock"):
            raise NotYet("no socket")

    wait_for("virtlogd", logs, seconds=30, remedy="ouchi logs virtlogd")


PARTS = (Libvirt(),)
