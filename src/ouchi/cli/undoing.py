"""Running ``undo`` on hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ouchi.cli.together import Made, Wishes, Work, run_all
from ouchi.core.events import Kind, Timeline
from ouchi.core.instance import Instance
from ouchi.flows import undo
from ouchi.flows.site_host import SiteHost
from ouchi.host import reboot
from ouchi.report.apply import undo_text, undoing_json


@dataclass
class Undo(Work):
    """``undo`` on one host."""

    undoing: undo.Undoing = field(init=False)
    doing: ClassVar[str] = "undo"

    def see(self) -> None:
        self.undoing = undo.prepare(self.hosted.machine, Instance())

    def text(self) -> str:
        return undo_text(self.undoing)

    def json(self) -> dict[str, Any]:
        return undoing_json(self.undoing)

    def due(self) -> tuple[bool, bool]:
        return self.undoing.anything, bool(self.undoing.why)

    def make(self, timeline: Timeline, stage: str) -> Made:
        """Put it back, and restart the host where that may be; findings for what was left."""
        result, machine = self.json(), self.hosted.machine
        boot_id = machine.read(reboot.BOOT_ID).strip()
        why, findings = undo.carry_out(self.undoing, timeline, stage)
        for finding in findings:
            timeline.emit(Kind.NOTE, stage, "left", str(finding))
        result |= {"findings": [finding.to_json() for finding in findings], "status": 1 if findings else 0}
        if why:
            timeline.emit(Kind.NOTE, stage, "restart", f"{stage}: a restart is needed: {'; '.join(why)}")
        if not (why and self.wishes.restart):
            return Made(result | {"restarted": False, "left": why}, tuple(findings))
        reboot.go_down(machine)
        if self.hosted.address:
            self.wait_until_back(boot_id)
        return Made(result | {"restarted": True, "left": []}, tuple(findings))


def run_undo(hosts: Sequence[SiteHost], wishes: Wishes, *, as_json: bool) -> int:
    """``undo``. Returns the exit status: 1 when something was left as somebody else made it."""
    return run_all([Undo(host, wishes) for host in hosts], "put this back", as_json=as_json)
