"""Running ``undo`` on hosts: all are looked at and shown, the user asked once, then all put back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ouchi import undo
from ouchi.apply import reboot
from ouchi.cli.applying import LOCK
from ouchi.cli.hosted import Hosted
from ouchi.cli.together import Wishes, consent, look_at_all, told, work_on_all
from ouchi.errors import Failed
from ouchi.events import Kind, Timeline
from ouchi.instance import Instance
from ouchi.report.apply import undo_text, undoing_json


@dataclass
class Undo:
    """``undo`` on one host: :meth:`look`, then :meth:`make`. The host is held from the first to the last."""

    hosted: Hosted
    wishes: Wishes
    undoing: undo.Undoing = field(init=False)
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def look(self) -> undo.Undoing:
        """What is to be put back. Raises :class:`~ouchi.errors.OuchiError`."""
        if not self.wishes.dry_run:
            self.held.enter_context(self.hosted.machine.hold(LOCK, "undo"))
        self.undoing = undo.prepare(self.hosted.machine, Instance())
        return self.undoing

    def make(self, timeline: Timeline, stage: str) -> dict[str, Any]:
        """Put it back, and restart the host where that may be. What was done, as JSON; status 1 when something was left."""
        machine, result = self.hosted.machine, undoing_json(self.undoing)
        boot_id = machine.read(reboot.BOOT_ID).strip()
        why, findings = undo.carry_out(self.undoing, timeline, stage)
        for finding in findings:
            timeline.emit(Kind.NOTE, stage, "left", str(finding))
        result |= {"findings": [finding.to_json() for finding in findings], "status": 1 if findings else 0}
        if why:
            timeline.emit(Kind.NOTE, stage, "restart", f"{stage}: {'; '.join(why)}")
        if not (why and self.wishes.restart):
            return result | {"restarted": False, "left": why}
        timeline.emit(Kind.NOTE, stage, "restart", "restarting to be rid of it")
        reboot.go_down(machine)
        if self.hosted.address:
            with contextlib.suppress(Failed):
                self.held.close()
            reboot.wait_until_back(machine, boot_id, self.hosted.name)
        return result | {"restarted": True, "left": []}

    def close(self) -> None:
        """Let the host go."""
        with contextlib.suppress(Failed):
            self.held.close()
        self.hosted.close()


def run_undo(hosts: Sequence[Hosted], wishes: Wishes, *, as_json: bool) -> int:
    """``undo``. Returns the exit status: 1 when something was left as somebody else made it."""
    works = [Undo(host, wishes) for host in hosts]
    with contextlib.ExitStack() as closing:
        for one in works:
            closing.callback(one.close)
        looked = look_at_all(works, lambda one: undo_text(one.undoing), as_json=as_json)
        if wishes.dry_run:
            return told(
                looked, [undoing_json(one.undoing) if one in looked.good else None for one in works], as_json=as_json
            )
        todo = [one for one in looked.good if one.undoing.anything]
        restarts = sum(bool(one.undoing.why) for one in todo) if wishes.restart else 0
        if todo:
            consent(_question(len(todo), restarts, len(works)), wishes)
        return work_on_all(looked, todo, as_json=as_json)


def _question(changes: int, restarts: int, hosts: int) -> str:
    if hosts == 1:
        return "put this back" + (" and restart the machine" if restarts else "")
    return f"put back {changes} of {hosts} hosts" + (f" and restart {restarts} of them" if restarts else "")
