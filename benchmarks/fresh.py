"""Measure the first ``up`` on a fresh machine: a minimal root of a release, in namespaces, deleted afterwards.

It shares the host's network namespace, for the downloads, so no other instance may be up while it runs.
"""

# ruff: noqa: TID251  # the fresh machine is a long-lived process that is started here
from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import WORK
from benchmarks.command import Ouchi, pinging
from benchmarks.cycle import Notify, Record
from benchmarks.sources import network_settings, of_release, parse_sources
from ouchi.core.errors import BadInput, Failed, error
from ouchi.core.events import Event
from ouchi.core.instance import Instance
from ouchi.facts import collect
from ouchi.machine.local import LocalMachine
from ouchi.machine.privilege import KEPT, KEPT_WHOLE
from ouchi.machine.processes import marked
from ouchi.parts import device, hugepages
from ouchi.parts.supervise import PATH
from ouchi.steps.journal import Journal

ROOT = f"{WORK}/root"
CHECKOUT = "/root/ouchi"
SECONDS = 900
"""Timeout of the first ``up``."""

COPIED = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/pip.conf", "/etc/uv/uv.toml", "/etc/apt/auth.conf")
COPIED_FOLDERS = ("/usr/local/share/ca-certificates", "/etc/apt/auth.conf.d")
"""The network configuration of the host: names, indexes, proxies, certificate authorities."""

FIRST_PROCESS = """
set -e
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs -o mode=0755 ouchi-dev dev
mkdir dev/pts dev/shm dev/net
for node in null zero full random urandom tty kvm net/tun; do
    if [ -e "/dev/$node" ]; then cp -a "/dev/$node" "dev/$node"; fi
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 ouchi-shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0 1 2; do ln -s "/proc/self/fd/$number" "dev/$number"; done
mv dev/0 dev/stdin; mv dev/1 dev/stdout; mv dev/2 dev/stderr
mount -t tmpfs -o mode=0755 ouchi-run run
mkdir -m 1777 run/lock
pivot_root . mnt
umount -l /mnt
echo ready
# cat ends when the benchmark closes the pipe or dies; all other processes end with this first one.
cat >/dev/null
:
"""


def check_tools(machine: LocalMachine) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` if a program that makes the fresh machine is missing."""
    if missing := [name for name in ("mmdebstrap", "git") if not machine.exists(f"/usr/bin/{name}")]:
        raise BadInput(
            error(
                "programs that make the fresh machine are missing",
                where=", ".join(f"/usr/bin/{name}" for name in missing),
                remedy=f"apt-get install --no-install-recommends {' '.join(missing)}",
            )
        )


def check_alone(machine: LocalMachine, instance: Instance) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` if an instance is up: both would share one network namespace."""
    running = marked(instance.name)
    if running or machine.exists(instance.run):
        raise BadInput(
            error(
                "an ouchi instance is up, and the fresh machine would share its network with it",
                where=instance.run,
                found=f"{len(running)} processes",
                expected="no instance",
                remedy="ouchi down",
            )
        )


def measure_fresh(
    machine: LocalMachine, home: str, release: str, hear: Callable[[Event], None], record: Record, say: Notify
) -> None:
    """Time ``./ouchi up`` from its start to the summary, downloads included.

    ``release`` is a codename, the host's own when it is empty.
    """
    tidy(machine)
    try:
        say("fresh machine: making its root (not measured)")
        make_root(machine, home, release)
        system = re.search(r'^PRETTY_NAME="(.*)"$', machine.read(f"{ROOT}/etc/os-release"), re.MULTILINE)
        record.remarks.append(f"Fresh machine: {system[1] if system else 'a release without a name'}, minimal.")
        with first_process() as way_in:
            ouchi = Ouchi((*way_in, "./ouchi"), hear)
            say("fresh machine: ./ouchi up, downloads included")
            ran = ouchi.run("up", "--json", seconds=SECONDS)
            record.add("fresh", ran.seconds)
            record.keep("fresh", ran)
            if machine.run((*git(home), "-C", home, "status", "--porcelain")).stdout:
                record.remarks.append(
                    "Fresh machine: the last commit, without the changes that the checkout had since."
                )
            launcher = ran.arrivals[0].at - ran.arrivals[0].event.at
            record.remarks.append(
                f"Fresh machine: {launcher:.1f} s until the first task (Python and ouchi's environment installed), "
                f"pinging after {pinging(ran):.1f} s, CPU of the command {ran.cpu:.1f} s"
            )
            say(f"fresh machine: up in {ran.seconds:.1f} s; down")
            ouchi.run("down", seconds=120)
    finally:
        tidy(machine)


def tidy(machine: LocalMachine) -> None:
    """Release devices and hugepages by the journal of the instance in the root, then delete the root."""
    if machine.exists(ROOT):
        journal = Journal(machine, f"{ROOT}{Instance().state}")
        device.undo(journal)
        hugepages.undo(journal)
        machine.run(("rm", "-rf", "--one-file-system", ROOT), timeout=300)


def make_root(machine: LocalMachine, home: str, release: str) -> None:
    """Make a minimal system from the host's own mirror, without Python, with a clone of the checkout."""
    folder = "/etc/apt/sources.list.d"
    names = ["/etc/apt/sources.list", *(f"{folder}/{name}" for name in machine.entries(folder))]
    files = {
        name: machine.read(name) for name in names if name.endswith((".list", ".sources")) and machine.exists(name)
    }
    codename = collect(machine).system.distribution.codename
    sources = of_release(parse_sources(files), codename, release or codename)
    if not sources:
        raise BadInput(
            error(
                "apt's sources have no entry of this machine's own release",
                where=", ".join(files) or folder,
                expected=f"an archive with the suite {codename}",
            )
        )
    settings = network_settings(machine.run(("apt-config", "dump")).stdout)
    # As the distribution's installer does for a mirror that is reached by TLS.
    authorities = ["--include=ca-certificates"] if any(source.uri.startswith("https") for source in sources) else []
    machine.run(
        ("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *authorities, release or codename, ROOT, "-"),
        input="".join(f"{source.line()}\n" for source in sources),
        timeout=600,
    )
    machine.write(f"{ROOT}/etc/apt/apt.conf.d/00host", settings)
    for path in (*COPIED, *COPIED_FOLDERS, *{source.key for source in sources if source.key}):
        if machine.exists(path):
            parent = os.path.dirname(path)
            machine.make_folder(f"{ROOT}{parent}")
            machine.run(("cp", "-rL", "--no-target-directory", path, f"{ROOT}{path}"))
    machine.run((*git(home), "clone", "--quiet", home, f"{ROOT}{CHECKOUT}"))


def git(home: str) -> tuple[str, ...]:
    """Return the git command for root in a checkout that may belong to a user."""
    return ("git", "-c", f"safe.directory={home}", "-c", f"safe.directory={home}/.git")


@contextmanager
def first_process() -> Iterator[tuple[str, ...]]:
    """Run the first process of the fresh machine; yield the argv prefix of commands to run in its checkout.

    It has its own mount, PID and UTS namespaces. All of its processes end with the context.
    """
    argv = ("unshare", "--mount", "--uts", "--pid", "--fork", "sh", "-c", FIRST_PROCESS, ROOT)
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if not holder.stdout or not holder.stderr or holder.stdout.readline() != "ready\n":
            stderr = holder.communicate()[1].strip()
            raise Failed(
                error("the fresh machine's namespaces could not be made", where=" ".join(argv[:5]), found=stderr)
            )
        spaces = f"/proc/{holder.pid}/ns"
        enter = ("nsenter", f"--mount={spaces}/mnt", f"--uts={spaces}/uts", f"--pid={spaces}/pid_for_children", "--")
        yield (*enter, "env", "-i", f"--chdir={CHECKOUT}", *variables())
    finally:
        holder.communicate()  # closes the pipe, and waits


def variables() -> list[str]:
    """Return a root shell's environment with the host's settings for proxies and package indexes."""
    kept = {name: text for name, text in os.environ.items() if name in KEPT_WHOLE or name.startswith(KEPT)}
    own = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    return [f"{name}={text}" for name, text in {**kept, **own}.items()]
