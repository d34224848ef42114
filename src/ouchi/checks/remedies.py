"""The next commands that findings name."""

from __future__ import annotations

from ouchi.live.ovs import OURS, Switch

UP = "ouchi up"
APPLY = "ouchi apply"
APPLY_REBOOT = "ouchi apply, which reboots the host"
REBOOT = "reboot the host"
FIX = "ouchi doctor --fix"
LOGS = "ouchi logs ovs-vswitchd"
JOURNAL = "journalctl -u ovs-vswitchd"


def fix_then(lasting: str) -> str:
    """Return the remedy of a finding with a fix: the fix until the next reboot, and ``lasting``."""
    return f"{FIX} (until the next reboot); permanently: {lasting}"


def configuring(switch: Switch) -> str:
    """Return the command that configures an Open vSwitch: ``up`` for ouchi's own, ``apply`` for the distribution's."""
    return UP if switch.whose == OURS else APPLY


def vsctl(switch: Switch) -> str:
    """Return the words that call ovs-vsctl for this Open vSwitch on a shell."""
    return f"ovs-vsctl --db=unix:{switch.run}/db.sock"


def logs(switch: Switch) -> str:
    """Return the command that shows the log of an ovs-vswitchd."""
    return LOGS if switch.whose == OURS else JOURNAL
