"""Changing a rig as a user would: ouchi on this machine, the rig at the other end of ssh."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from ouchi.core.waiting import wait_for
from ouchi.rig.login import ALIAS
from ouchi.rig.rig import RESET, Rig
from ouchi.rig.states import SUSPENDED

SOURCE = Path(__file__).resolve().parents[2] / "src"

SITE = """
name: rig
address: root@rig
nics:
  - {{nic: {pf}, physnet: physnet1}}
  - {{nic: {sriov}, physnet: physnet2, role: sriov, vfs: 2, trust: true, spoof_check: true}}
networks:
  - {{name: left, physnet: physnet1, vlan: 101, subnet: 10.101.0.0/24}}
servers:
  - {{name: one, vcpus: 2, memory: {memory}, pinned: true, ports: [{{network: left}}]}}
"""

LOOK = r"""
cd /etc
find . '(' -type f -o -type l -o -type d ')' -printf '%y %m %U:%G %p %l\n' | sort
find . -type f -print0 | sort -z | xargs -0 sha256sum
cat /proc/cmdline
lspci -nnk | sed -n '/Ethernet/,/Kernel driver/p'
grep -H . /sys/kernel/mm/hugepages/*/nr_hugepages /sys/bus/pci/devices/*/sriov_numvfs
find /run/systemd/system /usr/lib/systemd/system -printf '%p %l\n' | sort
systemctl list-units --no-pager --plain --no-legend --type=service | awk '{print $1, $2, $3}' | grep -v -e user@ -e session
grep linux /boot/grub/grub.cfg
ovs-vsctl get Open_vSwitch . other_config
update-alternatives --query ovs-vswitchd
ls -A /var/lib
"""
"""What undo must leave as it was: all of /etc, how it boots, drivers, functions, pages, services, settings.

Which units are enabled is what links in /etc say; to have systemctl list that takes an emulated CPU 6 s.
"""


def site(folder: Path, pf: str = "enp1s0", sriov: str = "enp2s0", memory: str = "1 GiB") -> Path:
    """A site file for the rig."""
    path = folder / "ouchi.yaml"
    path.write_text(SITE.format(pf=pf, sriov=sriov, memory=memory))
    return path


def look(rig: PracticeRig, *, boot: bool = True) -> list[str]:
    """Everything that undo must put back; without ``boot`` what only a reboot restores is left out."""
    lines = rig.run(LOOK, timeout=120).stdout.splitlines()
    return lines if boot else without_boot(lines)


def without_boot(lines: list[str]) -> list[str]:
    """What was seen, but for what only a restart puts back."""
    return [line for line in lines if not (line.startswith("BOOT_IMAGE") or "nr_hugepages" in line)]


class PracticeRig(Rig):
    """A rig with what only tests do to it."""

    def save(self, name: str) -> None:
        """Save the current state as ``name``, replacing one of that name. Takes about a second."""
        self._save(name)

    def down(self) -> None:
        """Save its state as :data:`ouchi.rig.states.SUSPENDED`, then power it off."""
        self._save(SUSPENDED)
        self._stop()

    def await_reboot(self, seconds: float = 120.0) -> None:
        """Wait until the guest resets itself, then boot it again."""
        reason = wait_for("the rig's reset", self._end, seconds=seconds)
        assert reason == RESET, self._end_reason(reason)
        self.boot()

    def reboot(self) -> None:
        """Reboot the guest and wait until it is up again."""
        self.run("systemctl reboot", check=False)
        self.await_reboot()

    def copy_in(self, source: PurePath | str, target: PurePath | str) -> None:
        """Copy a file to ``target``, or the contents of a folder into the folder ``target``."""
        packed = str(self._files.folder / "copy.tar")
        inside = "/var/tmp/ouchi-rig-copy.tar"  # in the rig, which has no other users
        copy = ("scp", "-q", "-F", str(self.ssh_config))
        if self._machine.run(("test", "-d", str(source)), check=False).ok:
            self._machine.run(
                ("tar", "-cf", packed, "--exclude=__pycache__", "--owner=0", "--group=0", "-C", str(source), ".")
            )
            self._machine.run((*copy, packed, f"{ALIAS}:{inside}"), timeout=300)
            into = shlex.quote(str(target))
            self.run(f"mkdir -p {into}; tar -xf {inside} -C {into}; rm {inside}", timeout=300)
            self._machine.remove(packed)
        else:
            self._machine.run((*copy, str(source), f"{ALIAS}:{target}"), timeout=300)


class Practice:
    """ouchi's command line against the rig."""

    def __init__(self, rig: PracticeRig, folder: Path, **nics: str) -> None:
        """``nics``: ``pf`` and ``sriov`` as for :func:`site`."""
        self.rig = rig
        self.site = site(folder, **nics)

    def start(self, *words: str, site: Path | None = None) -> subprocess.Popen[str]:
        """Start ouchi; its progress comes on stderr as JSON lines."""
        argv = [sys.executable, "-m", "ouchi", words[0], "--site", str(site or self.site), "--json", *words[1:]]
        return subprocess.Popen(argv, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the caller's own but where Python is."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/root"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(SOURCE),
            "OUCHI_SSH_CONFIG": str(self.rig.ssh_config),
        }

    def run(
        self, *words: str, status: int | None = 0, site: Path | None = None, timeout: float = 300
    ) -> tuple[Any, str]:
        """Run ouchi to its end; its result and its other output."""
        return finished(self.start(*words, site=site), status, timeout)

    def run_rebooting(self, *words: str, status: int = 0) -> tuple[Any, str]:
        """The same where ouchi reboots the rig: what a real machine does by itself, the rig's owner does here."""
        process = self.start(*words)
        try:
            self.rig.await_reboot(600)
        except BaseException:
            process.kill()
            print(process.communicate())
            raise
        return finished(process, status, 300)

    def killed_in_every_step(self, *words: str) -> list[str]:
        """Kill ouchi as soon as it begins a step that it was not killed in before, until it comes to its end."""
        killed: list[str] = []
        while len(killed) < 30:
            process = self.start(*words)
            for event in events(process):
                if event["kind"] == "started" and event["task"] not in killed:
                    killed.append(event["task"])
                    process.send_signal(signal.SIGKILL)
                    break
            else:
                finished(process, 0, 60)
                return killed
            process.communicate(timeout=60)
        raise AssertionError(f"it does not come to its end: {killed}")

    @contextmanager
    def until(self, step: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start ouchi and wait until it begins a step."""
        process = self.start(*words)
        try:
            for event in events(process):
                if (event["kind"], event["task"]) == ("started", step):
                    break
            else:
                raise AssertionError(f"no step {step}: {process.communicate(timeout=60)}")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=60)


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """The events of a running ouchi."""
    assert process.stderr
    for line in process.stderr:
        if line.startswith("{"):
            yield json.loads(line)


def finished(process: subprocess.Popen[str], status: int | None, timeout: float) -> tuple[Any, str]:
    """Wait for ouchi's end, with this status; with any when it is None."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end\n{out[-2000:]}\n{err[-4000:]}") from None
    assert status in (None, process.returncode), f"status {process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    return (json.loads(out) if out.startswith("{") else None), err


def wait(probe: Callable[[], bool], seconds: float) -> None:
    """Wait until the probe is true."""
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.5)
