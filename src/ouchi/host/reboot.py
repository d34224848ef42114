"""Restarting the machine: why, how ouchi goes on afterwards, and that it comes back on the network."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Sequence

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Failed, Interrupted, OuchiError, error
from ouchi.core.waiting import NotYet, wait_for
from ouchi.facts import Facts
from ouchi.host import boot
from ouchi.host.guard import carriers
from ouchi.host.survey import Surroundings
from ouchi.machine import Machine
from ouchi.machine.ssh.machine import SshMachine
from ouchi.plan.target import Target
from ouchi.plan.values import cpus_text
from ouchi.steps import Change, engine
from ouchi.steps import file as path
from ouchi.steps.journal import Journal
from ouchi.steps.rescue import script_path

ASKED = "reboot"
"""The journal's note of a reboot that is to come: the boot id with which it was requested."""

BACK_SECONDS = 900.0
"""How long a machine may take to come back; servers test their memory for minutes."""

CARRIER_SECONDS = 180
"""How long after its start the machine's address may take before the guard puts everything back."""

BOOT_ID = "/proc/sys/kernel/random/boot_id"
WANTS = "/etc/systemd/system/multi-user.target.wants"
WATCH, START = "ouchi-watch.service", "ouchi-restarted.service"
GO_ON = "ouchi-continue.service"
"""What ouchi itself runs in afterwards: a unit without a file, so that it can take the other two away while it runs."""


def reasons(target: Target, around: Surroundings) -> list[str]:
    """Why the machine must be restarted; empty when it need not."""
    found = []
    if missing := boot.missing(target.plan.kernel_args, target.facts.boot.parameters):
        found.append(f"the kernel was started without {' '.join(missing)}")
    if target.isolated_cpus and around.services - set(target.plan.pools.host):
        found.append(
            f"services run on CPUs {format_cpus(around.services)}; after a restart on {cpus_text(target.plan.pools.host)}"
        )
    return found


def check_done(journal: Journal, around: Surroundings, why: Sequence[str], rescued: str) -> None:
    """Forget a restart that has happened. Raises :class:`~ouchi.core.errors.Failed` when it changed nothing: no second one.

    ``rescued``: when the machine put everything back by itself.
    """
    if journal.note(ASKED) in (None, around.boot_id):
        return
    journal.set_note(ASKED, None)
    if rescued:
        raise Failed(
            error(
                "the machine did not come back on the network with the new settings",
                found=f"it put everything back by itself, {rescued}, and restarted",
                expected="the address that it had before",
                remedy="journalctl -b -1 says why; then: ouchi apply",
            )
        )
    if why:
        raise Failed(
            error(
                "the machine was restarted, but not as planned",
                where="/proc/cmdline",
                found="; ".join(why),
                expected="the words that ouchi added for the boot loader",
                remedy="look which entry and which configuration it was started with (another boot loader? a saved"
                " default?), then: ouchi apply",
            )
        )


def restart(
    machine: Machine, journal: Journal, folder: str, around: Surroundings, facts: Facts, go_on: Sequence[str]
) -> None:
    """Have it start again: guarded where it is reached over a network, and ``go_on``, a command, run afterwards.

    The connection to a remote machine breaks; the caller waits with :func:`wait_until_back`.
    """
    journal.set_note(ASKED, around.boot_id)
    units = [*_watching(folder, facts), *(_going_on(go_on) if go_on else ())]
    if units:
        engine.make(journal, "reboot", [Change(engine.ONE_BOOT, one.key, one.state, ("systemd",)) for one in units])
    go_down(machine)


def go_down(machine: Machine) -> None:
    """Have it restart. The connection may go before an answer comes: whether it does is seen by its boot id."""
    machine.run(("sync",), timeout=300)
    with contextlib.suppress(Failed):
        machine.run(("systemctl", "--no-block", "reboot"), outlive=True)


def finish(machine: Machine, journal: Journal) -> None:
    """Take away what was there for one restart only."""
    stop_watching(machine)
    engine.undo(journal, tuple(reversed(journal.records(engine.ONE_BOOT))))


def stop_watching(machine: Machine) -> None:
    """Whoever is here has reached the machine: nothing need wait for its address, and put everything back without it."""
    machine.run(("systemctl", "stop", WATCH), check=False)


def wait_until_back(connect: Callable[[], SshMachine], boot_id: str, name: str) -> SshMachine:
    """Wait until a remote machine has started anew and lets us in; ``connect`` makes a new connection.

    Raises :class:`~ouchi.core.errors.Failed` when it does not come back.
    """

    def probe() -> SshMachine:
        # A connection that is lost stays lost, so each try has its own.
        machine = connect()
        try:
            if machine.read(BOOT_ID).strip() == boot_id:
                raise NotYet("it has not gone down yet")
            state = machine.run(("systemctl", "is-system-running", "--wait"), check=False, timeout=300).stdout.strip()
            if state not in ("running", "degraded"):
                raise NotYet(f"systemd says it is {state or 'not there'}")
        except BaseException as reason:
            machine.close()
            if isinstance(reason, OuchiError) and not isinstance(reason, Interrupted):
                raise NotYet(reason.findings[0].found or reason.findings[0].claim) from None
            raise
        return machine

    return wait_for(f"{name} to start again", probe, seconds=BACK_SECONDS, every=2.0, remedy="look at its console")


def _watching(folder: str, facts: Facts) -> tuple[Change, ...]:
    """A unit that waits for an address by which the machine is reached, and puts everything back when it stays away."""
    nics = [nic for nic in facts.nics if nic.name in carriers(facts) and nic.mac]
    if not nics:
        return ()
    nic = min(nics, key=lambda one: (not one.addresses, not one.session))
    # One of them is enough: a temporary address of IPv6's is another after each start.
    looked_for = " ".join(f"-e {shlex.quote(f' {address} ')}" for address in nic.addresses) or "-e ' inet'"
    place = f"{folder}/watch.sh"
    # Once: later a network that is away for another reason would have everything put back, and at each start again.
    done = f"rm -f -- {shlex.quote(place)}"
    script = (
        f"for _ in $(seq {CARRIER_SECONDS}); do\n"
        f"    if ip -oneline address show up | grep -qF {looked_for}; then {done}; exit 0; fi\n"
        f"    sleep 1\ndone\n"
        f"echo {shlex.quote(f'ouchi: the interface {nic.mac} has not come back: putting everything back')}\n"
        f"sh {shlex.quote(script_path(folder))}\n{done}\nsystemctl --no-block reboot\n"
    )
    lines = (
        "[Unit]", "Description=ouchi: does the machine come back on the network?", "After=network.target",
        f"ConditionPathExists={place}", "", "[Service]", "Type=oneshot",
        f"TimeoutStartSec={CARRIER_SECONDS + 600}", f"ExecStart=/bin/sh {place}",
    )  # fmt: skip
    return (path.file(place, script, mode=0o700), *_unit(WATCH, lines))


def _going_on(argv: Sequence[str]) -> tuple[Change, ...]:
    """A unit that starts another, :data:`GO_ON`, in which ouchi runs again, once.

    A unit whose file is gone has systemd's own limits, from the next daemon-reload on: 90 s to start.
    """
    # systemd takes a command of systemd-run for one of a unit file as far as variables go (systemd-run(1)).
    run = ("systemd-run", "--quiet", f"--unit={GO_ON}", "--setenv=HOME=/root", "--setenv=LC_ALL=C.UTF-8", "--")
    command = " ".join(_systemd_word(word) for word in (*run, *(word.replace("$", "$$") for word in argv)))
    lines = (
        "[Unit]", "Description=ouchi goes on after the restart", f"After={WATCH} network-online.target",
        "Wants=network-online.target", "", "[Service]", "Type=oneshot", f"ExecStart={command}",
    )  # fmt: skip
    return _unit(START, lines)


def _unit(name: str, lines: Sequence[str]) -> tuple[Change, ...]:
    text = "# Made by ouchi, for one restart.\n" + "".join(f"{line}\n" for line in lines)
    return (
        path.file(f"/etc/systemd/system/{name}", text),
        path.folder(WANTS),
        path.link(f"{WANTS}/{name}", f"../{name}"),
    )


def _systemd_word(word: str) -> str:
    """A word of a command as systemd reads it (systemd.service(5), command lines; systemd.unit(5), specifiers)."""
    quoted = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{quoted}"'
