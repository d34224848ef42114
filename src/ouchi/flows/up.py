"""``ouchi up``: the plan, then every part, each as soon as what it needs is made; in the end the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from ouchi.checks.verdict import Verdict
from ouchi.core.errors import BadInput
from ouchi.core.events import EventKind, Notify, Timeline
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.tasks import Task
from ouchi.flows.verify import verify
from ouchi.machine import Machine
from ouchi.machine.owners import require_own
from ouchi.parts.conflicts import conflicts
from ouchi.parts.context import Context
from ouchi.parts.part import PLAN, PartState, missing, present
from ouchi.parts.registry import all_parts, secrets
from ouchi.parts.secrets import make_secrets
from ouchi.parts.stages import STAGES
from ouchi.parts.walk import look_at
from ouchi.plan.load import read_target
from ouchi.plan.target import Target
from ouchi.report.plan import plan_text
from ouchi.site import default_site, write_schema

LOOK_SECONDS = 20.0
"""How long all parts may take together to be looked at for a dry run."""


@dataclass
class Up:
    """One run of ``up`` on a machine. ``target`` is what it is before packages are installed; none for the table alone."""

    machine: Machine
    instance: Instance
    target: Target | None
    timeline: Timeline
    context: Context = field(init=False)
    verdict: Verdict | None = None

    def __post_init__(self) -> None:
        self.context = Context(self.machine, self.instance, self.target)

    def tasks(self, until: str = STAGES[-1]) -> list[Task]:
        """The tasks of all stages up to one, with what each needs."""
        tasks = [
            *(Task(part.stage, part.name, partial(part.make, self.context), part.needs) for part in all_parts()),
            Task("plan", PLAN, self.make_plan, ("packages",)),
            Task("verify", "verify", self.verify, tuple(part.name for part in all_parts())),
        ]
        chosen = [task for task in tasks if STAGES.index(task.stage) <= STAGES.index(until)]
        return sorted(chosen, key=lambda task: STAGES.index(task.stage))

    def begin(self) -> None:
        """Make the instance's folders, each open to those who need it, and its passwords."""
        instance = self.instance
        folders = {instance.state: 0o755, instance.run: 0o755, instance.logs: 0o750, instance.etc: 0o711}
        for folder, mode in folders.items():
            self.machine.make_folder(folder, mode=mode)
        make_secrets(self.machine, instance, secrets())
        self.context.authenticate_early()

    def make_plan(self, _notify: Notify) -> Outcome:
        """Plan anew with what the packages brought; refuse what is in the way; keep the site file for later commands."""
        at, site_file = self.context, self.context.target.site_file
        schema = f"{self.instance.state}/site.schema.json"
        write_schema(self.machine, schema)
        if new := not self.machine.exists(site_file):
            require_own(site_file)
            self.machine.write(site_file, default_site_text(at.target, schema))
            self.timeline.emit(EventKind.NOTE, "plan", "site", f"{site_file} written for this machine: yours to change")
        at.planned = read_target(self.machine, site_file)
        self.machine.write(self.instance.kept_site, self.machine.read(site_file))
        if found := conflicts(at, all_parts()):
            raise BadInput(found)
        self.timeline.emit(EventKind.NOTE, "plan", "plan", plan_text(at.target.plan))
        return changed(f"{site_file} written") if new else nothing(f"made from {site_file} and the machine")

    def verify(self, notify: Notify) -> Outcome:
        """Check the host from live state and measure through it; raises what does not hold."""
        at = self.context
        self.verdict = verify(at.machine, at.instance, at.target, at.cloud, notify, emulated=at.settings.emulated)
        return self.verdict.outcome()


def dry_run(at: Context, until: str) -> Mapping[tuple[str, str], PartState]:
    """Return what ``up`` would find and do, by stage and task in the order of :meth:`Up.tasks`. Changes nothing."""
    at.authenticate_early()
    target, seen = at.target, look_at(at, all_parts(), LOOK_SECONDS)
    states = {(part.stage, part.name): seen[part.name] for part in all_parts()}
    new = missing(f"write {target.site_file} for this machine")
    states["plan", PLAN] = new if target.new else present(f"made from {target.site_file} and the machine")
    proved = at.machine.exists(f"{at.instance.run}/verified.json") and not any(state.to_do for state in states.values())
    again = missing("check everything from live state, and measure")
    states["verify", "verify"] = present("nothing has changed since it was measured") if proved else again
    chosen = [key for key in states if STAGES.index(key[0]) <= STAGES.index(until)]
    return {key: states[key] for key in sorted(chosen, key=lambda key: STAGES.index(key[0]))}


def default_site_text(target: Target, schema: str) -> str:
    """The site file that ``up`` writes for a machine that has none; editors find its JSON Schema at ``schema``."""
    memory = sum(node.total_kib for node in target.facts.memory) // 1024
    return default_site(target.facts.system.hostname, len(target.facts.cpus), memory, schema)
