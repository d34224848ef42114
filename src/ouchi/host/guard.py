"""Nobody is locked out: what takes something from the network is put back by another process unless it is confirmed.

The process is a timer of systemd, so it runs whatever becomes of ouchi, of the session and of the network.
"""

from __future__ import annotations

from collections.abc import Callable

from ouchi.core.errors import Failed, Finding, error
from ouchi.facts import Facts
from ouchi.machine import Machine
from ouchi.steps.rescue import mark_path, script_path

UNIT = "ouchi-guard"
SECONDS = 120
"""How long until everything is put back, in seconds."""


def arm(machine: Machine, folder: str) -> None:
    """From now on the rescue script runs in :data:`SECONDS`."""
    disarm(machine)
    machine.run(
        (
            "systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--on-active={SECONDS}",
            "--timer-property=AccuracySec=1s", "/bin/sh", script_path(folder),
        )
    )  # fmt: skip


def disarm(machine: Machine) -> None:
    """All is well: it does not."""
    machine.run(("systemctl", "stop", f"{UNIT}.timer"), check=False)
    machine.run(("systemctl", "reset-failed", f"{UNIT}.timer", f"{UNIT}.service"), check=False)


def at_work(machine: Machine) -> bool:
    """Whether everything is being put back just now; from its end on there is the mark."""
    return machine.run(("systemctl", "is-active", "--quiet", f"{UNIT}.service"), check=False).ok


def busy() -> Finding:
    """What is said meanwhile: two at once would undo each other's work."""
    return error(
        "everything is being put back as it was before",
        where=f"{UNIT}.service",
        found="nobody had said in time that the machine was still reached",
        expected="its end, after a minute or so",
        remedy=f"once systemctl is-active {UNIT}.service says inactive, the same again",
    )


def carriers(facts: Facts) -> dict[str, tuple[str, ...]]:
    """The interfaces that the machine is reached by, with their addresses."""
    return {nic.name: nic.addresses for nic in facts.nics if nic.session or nic.default_route}


def confirm(
    machine: Machine, folder: str, before: Facts, again: Callable[[], Facts], ask: Callable[[str], bool] | None
) -> None:
    """See over a new connection that everything that reached the machine still does, and let the timer go.

    ``ask``: the user, when there is one who can say so. Raises :class:`~ouchi.core.errors.Failed` when it does not, or when
    nobody says so: the timer is left to run.
    """
    lost = _lost(carriers(before), carriers(again()))
    if lost:
        raise Failed(lost)
    yes = ask is None or ask(f"Do you still reach the machine? Everything is put back in {SECONDS} s without your yes.")
    if yes:
        disarm(machine)
    if not yes or at_work(machine) or machine.exists(mark_path(folder)):
        raise Failed(
            error(
                "nobody has said in time that the machine is still reached",
                found="everything is put back" if yes else f"everything is put back within {SECONDS} s",
                expected=f"yes within {SECONDS} s",
                remedy="look at what was changed (ouchi apply --dry-run), then: ouchi apply",
            )
        )


def _lost(before: dict[str, tuple[str, ...]], now: dict[str, tuple[str, ...]]) -> list[Finding]:
    return [
        error(
            f"the interface {name}, by which the machine is reached, is not as before",
            found=f"{', '.join(now[name]) or 'no address'}" if name in now else "no route or session on it",
            expected=", ".join(addresses) or "a default route",
            remedy=f"everything is put back within {SECONDS} s; then look at: ouchi inspect",
        )
        for name, addresses in before.items()
        if name not in now or not set(addresses) <= set(now[name])
    ]
