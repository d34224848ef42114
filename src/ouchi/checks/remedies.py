"""The next commands that findings name."""

from __future__ import annotations

from ouchi.live.ovs import OURS, Switch

UP = "ouchi up"
APPLY = "ouchi apply"
APPLY_RESTART = "ouchi apply, which restarts the machine"
RESTART = "restart the machine"
FIX = "ouchi doctor --fix"
LOGS = "ouchi logs ovs-vswitchd"


def fix_then(lasting: str) -> str:
    """What lasts, and that it can be mended until the next start at once."""
    return f"{FIX} (until the next start); for good: {lasting}"


def configuring(switch: Switch) -> str:
    """What configures an Open vSwitch: ours is up's, the distribution's is apply's."""
    return UP if switch.whose == OURS else APPLY


def control(switch: Switch) -> str:
    """ovs-vswitchd's control socket."""
    return f"{switch.run}/ovs-vswitchd.{switch.pid}.ctl"


def vsctl(switch: Switch) -> str:
    """ovs-vsctl for this Open vSwitch, as a person types it."""
    return f"ovs-vsctl --db=unix:{switch.run}/db.sock"
