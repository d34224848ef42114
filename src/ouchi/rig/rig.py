"""One rig: its QEMU and its disk; starting, running commands in it, saving states, rebooting, powering off.

The process that makes a :class:`Rig` runs it: QEMU ends when that process ends, however it does.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Self

from ouchi.core.errors import Failed, Unhealthy
from ouchi.core.events import Notify
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import CommandFailed, Result
from ouchi.machine.background import Background, Launcher
from ouchi.machine.local import TIED
from ouchi.machine.lock import exclusive_lock
from ouchi.rig import states
from ouchi.rig.assets import ASSETS, Assets, require_same
from ouchi.rig.hardware import Files, qemu_arguments
from ouchi.rig.login import ALIAS, known_host, ssh_config
from ouchi.rig.monitor import Monitor

ATTEMPTS = 3
"""How often a start is tried. Emulation fails now and then, which counts as a fault of the rig."""

BOOT_SECONDS = 180.0
"""A cold boot takes 33 s on an idle machine with two cores."""
LOAD_SECONDS = 90.0
"""A login to a loaded state takes some 5 s."""
SETTLE_SECONDS = 120.0
RESETS = 3
"""How often a guest may reset itself while it boots."""

RESET = "guest-reset"
"""QEMU's reason for an end by a reset of the guest."""


class Fault(Failed):
    """QEMU ended or hung by itself."""


class Reset(Exception):
    """The guest reset itself."""


class Rig:
    """``with Rig(machine, assets, folder) as rig: rig.up(); rig.run("nproc")``.

    Methods raise :class:`~ouchi.core.errors.Failed` when they fail :data:`ATTEMPTS` times; failed attempts are in
    ``faults``.
    """

    def __init__(
        self, machine: Launcher, assets: Assets, folder: PurePath | str, notify: Notify = lambda _text: None
    ) -> None:
        self._machine = machine
        self._assets = assets
        self._files = Files(PurePath(folder))
        self._notify = notify
        self._held = contextlib.ExitStack()
        self._qemu: Background | None = None
        self._monitor: Monitor | None = None
        self.faults: list[str] = []
        """Faults of the rig itself, after which it was tried again."""
        self.port = 0
        """The port of 127.0.0.1 that is forwarded to its sshd."""
        self._boot_port = 0
        """The port used instead during a boot, so that no other login is cut off when QEMU is started again after it."""

    def __enter__(self) -> Self:
        self._machine.make_folder(self._files.folder, mode=0o700)
        self._held.enter_context(exclusive_lock(str(self._files.folder / "lock"), "rig"))
        return self

    def __exit__(self, *_: object) -> None:
        self.power_cut()
        self._held.close()

    def up(self) -> None:
        """Start from a new disk in the base state; earlier changes and states are deleted. Takes seconds."""
        self._forget()
        copy = self._files.folder / "copy.qcow2"  # a disk that was copied in part must not have the disk's name
        try:
            self._machine.run(
                ("cp", "--reflink=auto", "--sparse=always", str(self._assets.base), str(copy)), timeout=300
            )
            self._machine.run(("mv", "-T", str(copy), str(self._files.disk)))
        finally:
            self._machine.remove(copy)
        self._load(states.BASE)

    def make_base(self) -> None:
        """Boot a new disk from the image, save the state :data:`ouchi.rig.states.BASE`, and power it off."""
        self._forget()
        self._new_disk()
        self._attempt("cold boot", self._boot_once)
        self._save(states.BASE)
        self._stop()

    def load(self, name: str) -> None:
        """Go back to a saved state, disk included. Takes seconds."""
        require_same(self._machine, self._assets, self._files.folder)
        states.require_state(self.states(), name)
        self.power_cut()
        self._load(name)

    def states(self) -> list[states.SavedState]:
        """The saved states, oldest first."""
        return states.saved_states(self._machine, self._assets.tools, self._files.disk)

    def boot(self) -> None:
        """Boot from the disk as it is, with BIOS and GRUB: about a minute under emulation.

        With a thread per emulated CPU one boot in six hung. So one thread emulates all until the system is up; then the
        state is saved and loaded with a thread per CPU. Only the rig itself can log in before that.
        """
        self.power_cut()
        if self._machine.exists(self._files.disk):
            require_same(self._machine, self._assets, self._files.folder)
        else:
            self._forget()
            self._new_disk()
        self._attempt("cold boot", self._boot_once)
        if not self._assets.kvm:
            self._save(states.BOOTED)
            self._stop()
            self._load(states.BOOTED)

    def power_cut(self) -> None:
        """Power it off at once; what its kernel had not written to the disk is lost. It may be off already."""
        if self._monitor:
            self._monitor.close()
        if self._qemu:
            self._qemu.kill()
        self._monitor = self._qemu = None

    def ended(self) -> str | None:
        """Why QEMU ended (``guest-reset``, ``guest-shutdown``, or its exit status); None while it runs."""
        if self._qemu is None:
            return "off"
        if self._qemu.status() is None:
            return None
        return (self._monitor.ended_by() if self._monitor else "") or f"exit status {self._qemu.status()}"

    def ssh_argv(self, user: str = "root") -> tuple[str, ...]:
        """The ssh command line, to which a remote command is appended."""
        boot_port = ("-p", str(self._boot_port)) if self._boot_port else ()
        return ("ssh", "-F", str(self.ssh_config), *boot_port, f"{user}@{ALIAS}")

    @property
    def ssh_config(self) -> PurePath:
        """A file for ``ssh -F FILE rig``."""
        return self._files.folder / "ssh_config"

    def run(self, script: str, *, check: bool = True, timeout: float = 60.0, user: str = "root") -> Result:
        """Run a script with ``bash -e`` in the rig.

        ``timeout`` is in seconds. Raises :class:`~ouchi.machine.CommandFailed` as :meth:`ouchi.machine.Machine.run` does.
        """
        remote = shlex.join(("bash", "-ec", script))
        return self._machine.run((*self.ssh_argv(user), remote), timeout=timeout, check=check)

    def _boot_once(self) -> None:
        for _ in range(RESETS):
            self._start("kvm" if self._assets.kvm else "single")
            try:
                self._await_login(BOOT_SECONDS)
                self._await_settled()
            except Reset:
                self._notify("it reset itself while it booted")
            else:
                return
        raise Failed.of(f"the rig reset itself {RESETS} times while it booted", where=str(self._files.console))

    def _load(self, name: str) -> None:
        def once() -> None:
            self._start("kvm" if self._assets.kvm else "multi", name)
            try:
                self._await_login(LOAD_SECONDS, set_clock=True)
            except Reset:
                raise Fault.of("the state was saved while its guest was resetting itself", where=name) from None

        self._attempt(f"loading {name}", once)

    def _attempt(self, what: str, once: Callable[[], None]) -> None:
        """Try until it works, at most :data:`ATTEMPTS` times; each failure is a fault of the rig."""
        for number in range(1, ATTEMPTS + 1):
            begin = time.monotonic()
            try:
                once()
            except Failed as failure:
                self.power_cut()
                if self._machine.exists(self._files.console):  # which the next attempt overwrites
                    output = self._machine.read(self._files.console)
                    self._machine.write(self._files.folder / "console.failed.log", output, mode=0o600)
                found = failure.findings[0]
                self.faults.append(f"{what}: {found.claim}: {found.found}")
                self._notify(f"{what} failed, {number} of {ATTEMPTS}: {found.claim}")
                if number == ATTEMPTS:
                    raise
            else:
                self._notify(f"{what}: {time.monotonic() - begin:.1f} s")
                return

    def _forget(self) -> None:
        """Delete the disk, and note the assets that the next one is made from."""
        self.power_cut()
        self._machine.remove(self._files.disk)
        self._machine.write(self._files.folder / ASSETS, self._assets.to_json(), mode=0o600)

    def _new_disk(self) -> None:
        """Make the disk as an empty layer over the image."""
        backing = ("-b", str(self._assets.image.disk), "-F", "qcow2")
        self._machine.run(
            self._assets.tools.argv("qemu-img", "create", "-q", "-f", "qcow2", *backing, str(self._files.disk))
        )

    def _start(self, accelerator: str, load: str = "") -> None:
        """Start QEMU, which ends with this process, and connect to its control socket."""
        self.power_cut()
        self.port = _free_port(self.port)
        self._boot_port = _free_port(0) if accelerator == "single" else 0
        known = self._files.folder / "known_hosts"
        self._machine.write(known, known_host(self._machine.read(self._assets.image.host_key)), mode=0o600)
        self._machine.write(self.ssh_config, ssh_config(self.port, self._assets.image.identity, known), mode=0o600)
        for stale in (self._files.console, self._files.monitor, self._files.commands):
            self._machine.remove(stale)
        argv = self._assets.tools.qemu(
            *qemu_arguments(self._files, accelerator, self._boot_port or self.port, load, self._assets.shape)
        )
        self._qemu = self._machine.start((*TIED, *argv), log=self._files.log)
        self._monitor = wait_for("QEMU's control socket", self._connect, seconds=30, every=0.05)

    def _connect(self) -> Monitor:
        self._require_running()
        return Monitor(self._files.monitor)

    def _await_login(self, seconds: float, *, set_clock: bool = False) -> None:
        """Wait until a login works. ``set_clock``: a loaded state has the time of when it was saved."""

        def log_in() -> None:
            self._require_running()
            clock = f"date -u -s @{time.time():.0f} >/dev/null" if set_clock else "true"
            try:
                self.run(clock, timeout=20)
            except CommandFailed as failure:
                raise NotYet(failure.findings[0].found) from None

        wait_for("the rig's sshd", log_in, seconds=seconds, every=0.3, remedy=f"read {self._files.console}")

    def _await_settled(self) -> None:
        """Wait until every unit has started or failed, at most :data:`SETTLE_SECONDS`."""
        try:
            self.run("systemctl is-system-running --wait || true", timeout=SETTLE_SECONDS)
        except CommandFailed:
            self._require_running()
            self._notify(f"not every unit has started within {SETTLE_SECONDS:g} s")

    def _require_running(self) -> None:
        """Raise :class:`Fault` when QEMU has ended, :class:`Reset` when the guest has reset itself."""
        reason = self.ended()
        if reason == RESET:
            raise Reset
        if reason is not None:
            raise Fault.of("QEMU ended", where=str(self._files.log), found=self._end_reason(reason))

    def _end(self) -> str:
        """Why QEMU ended. Raises :class:`~ouchi.core.waiting.NotYet` while it runs."""
        if (reason := self.ended()) is None:
            raise NotYet("it runs")
        return reason

    def _end_reason(self, reason: str) -> str:
        output = self._qemu.log_tail()[-500:] if self._qemu else ""
        return f"{reason}: {output}" if output else reason

    def _save(self, name: str) -> None:
        if self._monitor is None or self.ended() is not None:
            raise Unhealthy.of("the rig is off", where=str(self._files.folder), remedy="ouchi rig up")
        states.save_state(self._monitor, name)

    def _stop(self) -> None:
        """End QEMU after it has written its files."""
        if self._monitor:
            with contextlib.suppress(Failed):
                self._monitor.execute("quit")
        wait_for("QEMU's end", self._end, seconds=30, every=0.05)
        self.power_cut()


def _free_port(preferred: int) -> int:
    """A free port of 127.0.0.1: the preferred one if possible."""
    for number in (preferred, 0):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", number))
            return int(one.getsockname()[1])
    raise Failed.of("no port of 127.0.0.1 is free", expected="one to forward to the rig's sshd")
