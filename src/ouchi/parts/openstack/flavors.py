"""A flavor for each shape of guest in the plan."""

from __future__ import annotations

from ouchi.clients.openstack import Cloud
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.parts.context import Context
from ouchi.parts.openstack.objects import look_for
from ouchi.parts.part import Part, PartState
from ouchi.parts.settings import MARK
from ouchi.plan import Plan


class Flavors(Part):
    name = "flavors"
    stage = "flavor"
    needs = ("users", "nova")
    on = "controller"

    def look(self, at: Context) -> PartState:
        names = [guest.flavor for guest in at.target.plan.guests]
        return look_for(at, names, "nova-api", lambda: set(at.cloud.named("nova", "flavors")))

    def make(self, at: Context, notify: Notify) -> Outcome:
        return ensure_flavors(at.cloud, at.target.plan)


def ensure_flavors(cloud: Cloud, plan: Plan) -> Outcome:
    """A flavor for each shape of guest in the plan."""
    known = cloud.named("nova", "flavors/detail")
    made = []
    for guest in plan.guests:
        name = guest.flavor
        specs = guest.extra_specs
        flavor = known.get(name)
        if flavor is not None and specs.items() <= flavor["extra_specs"].items():
            continue
        made.append(name)
        if flavor is None:
            shape = {"vcpus": guest.vcpus, "ram": guest.memory_mib, "disk": 1}
            flavor = cloud.make("nova", "flavors", "flavor", name=name, description=MARK, **shape)
        # A request of its own: a run that was killed before it has left a flavor without them.
        cloud.make("nova", f"flavors/{flavor['id']}/os-extra_specs", "extra_specs", **specs)
        known[name] = {**flavor, "extra_specs": specs}
    return changed(f"made: {', '.join(made)}") if made else nothing(f"{len(plan.guests)} flavors are there")


PARTS = (Flavors(),)
