"""Several hosts of one deployment: what they share as one target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ouchi.plan.target import Target


def together(targets: Sequence[Target]) -> Target:
    """A target with the networks and NICs of all hosts, for files that all of them share; a single one is itself.

    It stands for no host: only its physnets, bridges, VLANs, MTUs and NICs, and its name, mean anything.
    """
    first = targets[0]
    if len(targets) == 1:
        return first
    sites = [target.site for target in targets]
    shared = {
        "name": ", ".join(site.name for site in sites),
        "networks": tuple(dict.fromkeys(network for site in sites for network in site.networks)),
        "nics": tuple(nic for site in sites for nic in site.nics),
    }
    plan = replace(first.plan, nics=tuple(nic for target in targets for nic in target.plan.nics))
    return replace(first, site=first.site.model_copy(update=shared), plan=plan)
