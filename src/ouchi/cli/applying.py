"""Running ``apply`` on the hosts of a site file: all are looked at and shown, the user asked once, then all changed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from ouchi.apply import reboot, run
from ouchi.cli.hosted import Hosted
from ouchi.cli.together import Wishes, consent, look_at_all, told, work_on_all
from ouchi.errors import Failed
from ouchi.events import Kind, Timeline
from ouchi.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.report.apply import difference_text, prepared_json
from ouchi.wanted import Wanted

MOST_ROUNDS = 3
"""How often a host is changed and restarted in one run: once, as a rule."""


@dataclass
class Applying:
    """``apply`` on one host: :meth:`look`, then :meth:`make`. The host is held from the first to the last."""

    hosted: Hosted
    wishes: Wishes
    own_switch: bool = False
    prepared: run.Prepared = field(init=False)
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def look(self) -> run.Prepared:
        """What is to be changed. Raises :class:`~ouchi.errors.OuchiError`."""
        if not self.wishes.dry_run:
            self.held.enter_context(self.hosted.machine.hold(LOCK, "apply"))
        return self.prepare(self.hosted.wanted())

    def prepare(self, wanted: Wanted) -> run.Prepared:
        """What a plan asks of the host."""
        self.prepared = run.prepare(self.hosted.machine, wanted, Instance().host, own_switch=self.own_switch)
        return self.prepared

    def make(self, timeline: Timeline, stage: str) -> dict[str, Any]:
        """Change it, restart it where that may be, and go on. What was done, as JSON."""
        result = prepared_json(self.prepared)
        for _ in range(MOST_ROUNDS):
            if not self.prepared.anything:
                break
            why = run.carry_out(self.prepared, timeline, self.hosted.anew, self._ask(), stage)
            if not why:
                break
            timeline.emit(Kind.NOTE, stage, "restart", f"{stage}: a restart is needed: {'; '.join(why)}")
            if not self.wishes.restart:
                return result | {"restarted": False, "left": why}
            if not self._restart(timeline, stage):
                return result | {"restarted": True, "left": []}
            self.prepare(self.hosted.wanted())
        return result | {"restarted": any(word for word in result["restart"]), "left": []}

    def _ask(self) -> Any:
        """Somebody at a terminal of the machine itself is asked; a remote one is reached anew, which says it better."""
        return click.confirm if not (self.wishes.yes or self.hosted.address) else None

    def _restart(self, timeline: Timeline, stage: str) -> bool:
        """True when the host is back; false for this machine, which takes us along."""
        host, here = self.prepared, not self.hosted.address
        go_on = self.wishes.go_on if here else ()
        reboot.restart(host.machine, host.journal, host.folder, host.around, host.host.facts, go_on)
        if here:
            said = "restarting; ouchi goes on by itself afterwards: journalctl -u ouchi-continue"
            timeline.emit(Kind.NOTE, stage, "restart", said)
            return False
        begin = timeline.now()
        timeline.emit(Kind.STARTED, stage, "restart")
        with contextlib.suppress(Failed):
            self.held.close()
        reboot.wait_until_back(host.machine, host.around.boot_id, self.hosted.name)
        self.held.enter_context(host.machine.hold(LOCK, "apply"))
        timeline.emit(Kind.CHANGED, stage, "restart", "it is back", timeline.now() - begin)
        return True

    def close(self) -> None:
        """Let the host go."""
        with contextlib.suppress(Failed):
            self.held.close()
        self.hosted.close()


LOCK = "/run/lock/ouchi.lock"


def run_apply(hosts: Sequence[Hosted], wishes: Wishes, *, as_json: bool) -> int:
    """``apply``. Returns the exit status."""
    applying = [Applying(host, wishes) for host in hosts]
    with contextlib.ExitStack() as closing:
        for one in applying:
            closing.callback(one.close)
        looked = look_at_all(applying, lambda one: difference_text(one.prepared), as_json=as_json)
        if wishes.dry_run:
            return told(
                looked,
                [prepared_json(one.prepared) if one in looked.good else None for one in applying],
                as_json=as_json,
            )
        todo = [one for one in looked.good if one.prepared.anything]
        restarts = sum(bool(one.prepared.why) for one in todo) if wishes.restart else 0
        if todo:
            consent(_question(len(todo), restarts, len(applying)), wishes)
        return work_on_all(looked, todo, as_json=as_json)


def _question(changes: int, restarts: int, hosts: int) -> str:
    if hosts == 1:
        return "make these changes" + (" and restart the machine" if restarts else "")
    return f"change {changes} of {hosts} hosts" + (f" and restart {restarts} of them" if restarts else "")


def applied_for_up(machine: LocalMachine, wanted: Wanted, timeline: Timeline, *, yes: bool, restart: bool) -> bool:
    """``up``'s part of it: the same without the distribution's Open vSwitch. False: the machine must be restarted first."""
    path = machine.absolute(wanted.site_file)
    go_on = (sys.executable, "-I", "-m", "ouchi", "up", "--yes", "--site", path)
    wishes = Wishes(dry_run=False, yes=yes, restart=restart, go_on=go_on)
    applying = Applying(Hosted(wanted.site.name, "", path, wanted.site, machine), wishes, own_switch=True)
    prepared = applying.prepare(wanted)
    if not prepared.anything:
        return True
    timeline.emit(Kind.NOTE, "host", "apply", difference_text(prepared))
    consent(_question(1, bool(prepared.why) and restart, 1), wishes)
    done = applying.make(timeline, "host")
    return not (done["left"] or done["restarted"])
