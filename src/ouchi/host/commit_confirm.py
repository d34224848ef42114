"""Commit-confirm: a timer rolls network changes back unless connectivity is confirmed within 120 s.

The timer is systemd's, so it runs whatever happens to ouchi, the session and the network.
"""

from __future__ import annotations

from collections.abc import Callable

from ouchi.core.errors import Failed, Finding, error
from ouchi.facts import Facts
from ouchi.machine import Machine
from ouchi.steps.journal import Journal
from ouchi.steps.rescue import mark_path, script_path

UNIT = "ouchi-rollback"
SECONDS = 120
"""How long until the rollback, in seconds."""


def arm(machine: Machine, folder: str) -> None:
    """Start the timer: the rescue script runs in :data:`SECONDS`."""
    disarm(machine)
    options = ("--quiet", "--collect", f"--unit={UNIT}", f"--on-active={SECONDS}", "--timer-property=AccuracySec=1s")
    machine.run(("systemd-run", *options, "/bin/sh", script_path(folder)))


def disarm(machine: Machine) -> None:
    """Stop the timer."""
    machine.run(("systemctl", "stop", f"{UNIT}.timer"), check=False)
    machine.run(("systemctl", "reset-failed", f"{UNIT}.timer", f"{UNIT}.service"), check=False)


def rolling_back(machine: Machine) -> bool:
    """Whether the rescue script is running; when it ends it leaves its mark (:func:`~ouchi.steps.rescue.mark_path`)."""
    return machine.run(("systemctl", "is-active", "--quiet", f"{UNIT}.service"), check=False).ok


def busy() -> Finding:
    """The refusal while the rescue script is running."""
    return error(
        "a rollback of earlier changes is running",
        where=f"{UNIT}.service",
        found=f"connectivity was not confirmed within {SECONDS} s",
        expected="no rollback; it takes about a minute",
        remedy=f"when systemctl is-active {UNIT}.service prints inactive, run the same command again",
    )


def carriers(facts: Facts) -> dict[str, tuple[str, ...]]:
    """The interfaces that carry the session or the default route, with their addresses."""
    return {nic.name: nic.addresses for nic in facts.nics if nic.session or nic.default_route}


def confirm(journal: Journal, before: Facts, read_facts: Callable[[], Facts], ask: Callable[[str], bool] | None) -> str:
    """Check over a new connection that the host is still reached by every interface that it was, and stop the timer.

    ``ask`` asks the user, where there is one. Raises :class:`~ouchi.core.errors.Failed` when connectivity is lost or not
    confirmed; the timer is left to run.
    """
    lost = _lost(carriers(before), carriers(read_facts()))
    if lost:
        raise Failed(lost)
    yes = ask is None or ask(
        f"Do you still reach this host? Without your yes all changes are rolled back in {SECONDS} s."
    )
    if yes:
        disarm(journal.machine)
    if not yes or rolling_back(journal.machine) or journal.machine.exists(mark_path(journal.folder)):
        raise Failed.of(
            "connectivity was not confirmed in time",
            found="all changes are rolled back" if yes else f"all changes are rolled back within {SECONDS} s",
            expected=f"yes within {SECONDS} s",
            remedy="look at the changes (ouchi apply --dry-run), then: ouchi apply",
        )
    return "confirmed over a new connection"


def _lost(before: dict[str, tuple[str, ...]], now: dict[str, tuple[str, ...]]) -> list[Finding]:
    return [
        error(
            f"the interface {name}, which carries the session or the default route, has changed",
            found=f"{', '.join(now[name]) or 'no address'}" if name in now else "no route or session on it",
            expected=", ".join(addresses) or "a default route",
            remedy=f"all changes are rolled back within {SECONDS} s; then look at: ouchi inspect",
        )
        for name, addresses in before.items()
        if name not in now or not set(addresses) <= set(now[name])
    ]
