"""KVM: whether guests start under it on this host, tried once in the life of the run folder."""

from __future__ import annotations

from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.live import kvm
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present


class Kvm(Part):
    name = "kvm"
    stage = "inspect"
    needs = ("packages",)

    def look(self, at: Context) -> PartState:
        if kvm.known(at.machine, at.instance) is None:
            return missing("try whether a guest starts under KVM", state="not tried")
        return _state(*kvm.remembered(at.machine, at.instance))

    def make(self, at: Context, notify: Notify) -> Outcome:
        known = kvm.known(at.machine, at.instance) is not None
        text = _state(*kvm.remembered(at.machine, at.instance)).found
        return nothing(text) if known else changed(text)


def _state(works: bool, why: str) -> PartState:
    return present(why if works else f"{why}: emulation (TCG)", "KVM" if works else "TCG")


PARTS = (Kvm(),)
