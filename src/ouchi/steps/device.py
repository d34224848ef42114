"""Network devices and namespaces: noted before a program makes them, removed by their names.

OVS's userspace datapath makes its bridges' devices persistent, so they outlive an ovs-vswitchd that is killed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Kind, Record, State

SPACES = "/run/netns"
"""Where iproute2 keeps namespaces: with the first one it makes this folder and a mount point of it, for good."""


class DeviceKind(Kind):
    """A network device by its name. The state: ``namespace``, the one that came with it, or empty; ``None``: no device."""

    name = "device"
    drifts = False
    noun = "network device"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        return {key: {} if machine.exists(f"/sys/class/net/{key}") else None for key in keys}

    def script(self, key: str, state: State) -> str:
        if state is not None:
            raise NotImplementedError(f"a {self.noun} is made by the program that uses it")
        return self._removal(key)

    def _removal(self, key: str) -> str:
        name = shlex.quote(key)
        return f"if [ -e /sys/class/net/{name} ]; then ip link delete {name} || :; fi\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return [] if state is None else [f"a {self.noun}"]


class NamespaceKind(DeviceKind):
    """A network namespace by its path, and :data:`SPACES` itself, which goes when it is empty."""

    name = "netns"
    noun = "network namespace"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        return {key: True if machine.exists(key) else None for key in keys}

    def _removal(self, key: str) -> str:
        if key == SPACES:
            return f'if [ -d {SPACES} ] && [ -z "$(ls -A {SPACES})" ]; then umount {SPACES} || :; rmdir {SPACES}; fi\n'
        return f"if [ -e {shlex.quote(key)} ]; then ip netns delete {shlex.quote(key.rpartition('/')[2])} || :; fi\n"


def noted(step: str, name: str, namespace: str, *, first: bool) -> list[Record]:
    """The records of a device that is about to be made, and of the namespace that comes with it.

    ``first``: there is no :data:`SPACES` yet.
    """
    spaces = [SPACES] if first and namespace else []
    paths = [*spaces, *([f"{SPACES}/{namespace}"] if namespace else [])]
    return [
        *(Record(step, "netns", path, None, True, in_progress=True) for path in paths),
        Record(step, "device", name, None, {"namespace": namespace}, in_progress=True),
    ]
