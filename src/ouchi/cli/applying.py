"""Running ``apply`` on the hosts of a site file: all are looked at and shown, the user asked once, then all changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import click

from ouchi.cli.together import Made, Wishes, Work, consent, question, run_all
from ouchi.core.events import Kind, Timeline
from ouchi.core.instance import Instance
from ouchi.flows import apply as run
from ouchi.flows.site_host import SiteHost
from ouchi.host import reboot
from ouchi.machine.local import LocalMachine
from ouchi.plan.target import Target
from ouchi.report.apply import difference_text, prepared_json

WHAT = "make these changes"

MOST_ROUNDS = 3
"""How often a host is changed and restarted in one run: once, as a rule."""


@dataclass
class Applying(Work):
    """``apply`` on one host."""

    own_switch: bool = False
    prepared: run.Prepared = field(init=False)
    doing: ClassVar[str] = "apply"

    def see(self) -> None:
        self.prepare(self.hosted.target())

    def prepare(self, target: Target) -> None:
        """What a plan asks of the host. Raises :class:`~ouchi.core.errors.BadInput` with every reason not to touch it."""
        self.prepared = run.prepare(self.hosted.machine, target, Instance().host, own_switch=self.own_switch)

    def text(self) -> str:
        return difference_text(self.prepared)

    def json(self) -> dict[str, Any]:
        return prepared_json(self.prepared)

    def due(self) -> tuple[bool, bool]:
        return self.prepared.anything, bool(self.prepared.why)

    def make(self, timeline: Timeline, stage: str) -> Made:
        """Change it, restart it where that may be, and go on."""
        result = self.json()
        for _ in range(MOST_ROUNDS):
            if not self.prepared.anything:
                break
            why = run.carry_out(
                self.prepared, timeline, self.hosted.facts_over_new_connection, self._ask(timeline), stage
            )
            if not why:
                break
            timeline.emit(Kind.NOTE, stage, "restart", f"{stage}: a restart is needed: {'; '.join(why)}")
            if not self.wishes.restart:
                return Made(result | {"restarted": False, "left": why})
            if not self._restart(timeline, stage):
                return Made(result | {"restarted": True, "left": []})
            self.see()
        return Made(result | {"restarted": bool(result["restart"]), "left": []})

    def _ask(self, timeline: Timeline) -> Callable[[str], bool] | None:
        """Somebody at a terminal of the machine itself is asked; a remote one is reached anew, which says it better."""
        if self.wishes.yes or self.hosted.address:
            return None

        def ask(text: str) -> bool:
            with timeline.paused():
                return click.confirm(text)

        return ask

    def _restart(self, timeline: Timeline, stage: str) -> bool:
        """True when the host is back; false for this machine, which takes us along."""
        host, here = self.prepared, not self.hosted.address
        go_on = self.wishes.go_on if here else ()
        reboot.restart(host.machine, host.journal, host.folder, host.around, host.target.facts, go_on)
        if here:
            said = "restarting; ouchi goes on by itself afterwards: journalctl -u ouchi-continue"
            timeline.emit(Kind.NOTE, stage, "restart", said)
            return False
        begin = timeline.now()
        timeline.emit(Kind.STARTED, stage, "restart")
        self.wait_until_back(host.around.boot_id)
        timeline.emit(Kind.CHANGED, stage, "restart", "it is back", timeline.now() - begin)
        return True


def run_apply(hosts: Sequence[SiteHost], wishes: Wishes, *, as_json: bool) -> int:
    """``apply``. Returns the exit status."""
    return run_all([Applying(host, wishes) for host in hosts], WHAT, as_json=as_json)


def applied_for_up(
    machine: LocalMachine, target: Target, until: str, timeline: Timeline, *, yes: bool, restart: bool
) -> bool:
    """``up``'s part of it: the same without the distribution's Open vSwitch. False: the machine must be restarted first,
    and ``up`` goes on afterwards, to the stage ``until``.
    """
    path = machine.absolute(target.site_file)
    go_on = (sys.executable, "-I", "-m", "ouchi", "up", "--yes", "--until", until, "--site", path)
    wishes = Wishes(dry_run=False, yes=yes, restart=restart, go_on=go_on)
    applying = Applying(SiteHost(target.site.name, "", path, target.site, machine), wishes, own_switch=True)
    applying.prepare(target)
    anything, restarts = applying.due()
    if not anything:
        return True
    timeline.emit(Kind.NOTE, "host", "apply", applying.text())
    with timeline.paused():
        consent(question(WHAT, 1, int(restarts and restart), 1), wishes)
    done = applying.make(timeline, "host").json
    return not (done["left"] or done["restarted"])
