"""Rebooting the host: why, how ouchi continues afterwards, and the check that it comes back on the network."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Sequence

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Failed, Interrupted, OuchiError
from ouchi.core.waiting import NotYet, wait_for
from ouchi.facts import Facts
from ouchi.host import boot
from ouchi.host.commit_confirm import carriers
from ouchi.host.survey import Survey
from ouchi.machine import Machine
from ouchi.machine.ssh.machine import SshMachine
from ouchi.plan.target import Target
from ouchi.plan.values import cpus_text
from ouchi.steps import Change, engine
from ouchi.steps import file as path
from ouchi.steps.journal import Journal
from ouchi.steps.rescue import script_path

REQUESTED = "reboot"
"""The journal's note of a requested reboot: the boot id at that time."""

BACK_SECONDS = 900.0
"""How long a host may take to reboot, in seconds; servers test their memory for minutes."""

CARRIER_SECONDS = 180
"""How long after boot the host's address may take before all changes are rolled back, in seconds."""

WANTS = "/etc/systemd/system/multi-user.target.wants"
WATCH, START = "ouchi-watch.service", "ouchi-rebooted.service"
CONTINUE = "ouchi-continue.service"
"""The unit in which ouchi runs afterwards: it has no file, so that ouchi can remove the other two meanwhile."""


def reasons(target: Target, survey: Survey) -> list[str]:
    """Return why a reboot is needed; empty if it is not."""
    found = []
    if missing := boot.missing(target.plan.kernel_args, target.facts.boot.parameters):
        found.append(f"the kernel was booted without {' '.join(missing)}")
    if target.isolated_cpus and survey.services - set(target.plan.pools.host):
        found.append(
            f"services run on CPUs {format_cpus(survey.services)}; after a reboot on {cpus_text(target.plan.pools.host)}"
        )
    return found


def check_done(journal: Journal, survey: Survey, why: Sequence[str], rolled_back: str) -> None:
    """Clear the note of a reboot that has happened.

    ``why``: what a reboot is still needed for; ``rolled_back``: when the rescue script ran, if it did. Raises
    :class:`~ouchi.core.errors.Failed` for both, so that ouchi does not reboot the host again and again.
    """
    if journal.note(REQUESTED) in (None, survey.boot_id):
        return
    journal.set_note(REQUESTED, None)
    if rolled_back:
        raise Failed.of(
            "the host did not come back on the network with the new settings",
            found=f"all changes were rolled back, {rolled_back}, and the host rebooted",
            expected="the address that it had before",
            remedy="journalctl -b -1 shows why; then: ouchi apply",
        )
    if why:
        raise Failed.of(
            "the host was rebooted, but not as planned",
            where="/proc/cmdline",
            found="; ".join(why),
            expected="the kernel parameters that ouchi added for the boot loader",
            remedy="look which boot loader, entry and configuration it was booted with, then: ouchi apply",
        )


def request(journal: Journal, survey: Survey, facts: Facts, resume: Sequence[str]) -> None:
    """Reboot the host, with a watch for its address where it is reached over a network, and run ``resume`` afterwards.

    The connection to a remote host breaks; the caller waits with :func:`wait_until_back`.
    """
    journal.set_note(REQUESTED, survey.boot_id)
    units = [*_watch(journal.folder, facts), *(_continue(resume) if resume else ())]
    engine.make(journal, "reboot", [Change(engine.ONE_BOOT, one.key, one.state, ("systemd",)) for one in units])
    reboot(journal.machine)


def reboot(machine: Machine) -> None:
    """Reboot the host. The connection may break before there is a response: the boot id shows whether it did."""
    machine.run(("sync",), timeout=300)
    with contextlib.suppress(Failed):
        machine.run(("systemctl", "--no-block", "reboot"), outlive=True)


def finish(journal: Journal) -> None:
    """Remove the units of one reboot."""
    stop_watching(journal.machine)
    engine.undo(journal, tuple(reversed(journal.records(engine.ONE_BOOT))))


def stop_watching(machine: Machine) -> None:
    """Stop the watch: ouchi has reached the host, so nothing need be rolled back."""
    machine.run(("systemctl", "stop", WATCH), check=False)


def wait_until_back(connect: Callable[[], SshMachine], boot_id: str, name: str) -> SshMachine:
    """Wait until a remote host has rebooted and accepts connections; ``connect`` makes a new one.

    Raises :class:`~ouchi.core.errors.Failed` when it does not come back.
    """

    def probe() -> SshMachine:
        # A connection that is lost stays lost, so each try has its own.
        machine = connect()
        try:
            if machine.read(engine.BOOT_ID).strip() == boot_id:
                raise NotYet("it has not gone down yet")
            state = machine.run(("systemctl", "is-system-running", "--wait"), check=False, timeout=300).stdout.strip()
            if state not in ("running", "degraded"):
                raise NotYet(f"systemctl is-system-running: {state or 'no output'}")
        except BaseException as reason:
            machine.close()
            if isinstance(reason, OuchiError) and not isinstance(reason, Interrupted):
                raise NotYet(reason.findings[0].found or reason.findings[0].claim) from None
            raise
        return machine

    return wait_for(f"{name} to reboot", probe, seconds=BACK_SECONDS, every=2.0, remedy="look at its console")


def _watch(folder: str, facts: Facts) -> tuple[Change, ...]:
    """A unit that waits for an address by which the host is reached, and rolls all changes back when it does not come."""
    nics = [nic for nic in facts.nics if nic.name in carriers(facts) and nic.mac]
    if not nics:
        return ()
    nic = min(nics, key=lambda one: (not one.addresses, not one.session))
    # One of them is enough: a temporary IPv6 address is another after each boot.
    expected = " ".join(f"-e {shlex.quote(f' {address} ')}" for address in nic.addresses) or "-e ' inet'"
    location = f"{folder}/watch.sh"
    # Once: a network that is down later, for another reason, must not roll everything back at each boot.
    done = f"rm -f -- {shlex.quote(location)}"
    script = (
        f"for _ in $(seq {CARRIER_SECONDS}); do\n"
        f"    if ip -oneline address show up | grep -qF {expected}; then {done}; exit 0; fi\n"
        f"    sleep 1\ndone\n"
        f"echo {shlex.quote(f'ouchi: the interface {nic.mac} has no address: rolling all changes back')}\n"
        f"sh {shlex.quote(script_path(folder))}\n{done}\nsystemctl --no-block reboot\n"
    )
    unit = f"""[Unit]
Description=ouchi: wait for the host's address after a reboot
After=network.target
ConditionPathExists={location}

[Service]
Type=oneshot
TimeoutStartSec={CARRIER_SECONDS + 600}
ExecStart=/bin/sh {location}
"""
    return (path.file(location, script, mode=0o700), *_unit(WATCH, unit))


def _continue(argv: Sequence[str]) -> tuple[Change, ...]:
    """A unit that starts another, :data:`CONTINUE`, in which ouchi runs again, once.

    A unit whose file is gone has systemd's own limits, from the next daemon-reload on: 90 s to start.
    """
    # systemd expands variables in a command of systemd-run as in a unit file (systemd-run(1)).
    run = ("systemd-run", "--quiet", f"--unit={CONTINUE}", "--setenv=HOME=/root", "--setenv=LC_ALL=C.UTF-8", "--")
    command = " ".join(systemd_quoted(word) for word in (*run, *(word.replace("$", "$$") for word in argv)))
    unit = f"""[Unit]
Description=ouchi continues after the reboot
After={WATCH} network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={command}
"""
    return _unit(START, unit)


def _unit(name: str, text: str) -> tuple[Change, ...]:
    return (
        path.file(f"/etc/systemd/system/{name}", f"# Made by ouchi, for one reboot.\n{text}"),
        path.folder(WANTS),
        path.link(f"{WANTS}/{name}", f"../{name}"),
    )


def systemd_quoted(word: str) -> str:
    """Quote a word of a command for a unit file (systemd.service(5), command lines; systemd.unit(5), specifiers)."""
    quoted = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{quoted}"'
