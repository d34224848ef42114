"""OpenStack's own Python environment: the release, locked, beside the distribution's libvirt binding."""

from __future__ import annotations

import hashlib
import importlib.resources
import sysconfig

from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine, Reader
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present
from ouchi.parts.settings import RELEASE

PYTHON = "/usr/bin/python3"
"""The distribution's, because its libvirt binding is built for it."""


class Environment(Part):
    name = "openstack"
    stage = "prepare"
    needs = ()

    def look(self, at: Context) -> PartState:
        if is_installed(at.machine, at.instance):
            return present(f"OpenStack {RELEASE}", "installed")
        return missing(f"install OpenStack {RELEASE} into {at.instance.openstack}", state="not installed")

    def make(self, at: Context, notify: Notify) -> Outcome:
        at.machine.make_folder(at.instance.cache, mode=0o700)  # uv lets every user take its lock in it
        return install(at.machine, at.instance, notify)


def install(machine: Machine, instance: Instance, notify: Notify) -> Outcome:
    """Make the environment; a stamp at the end says that it is whole."""
    root = instance.openstack
    if is_installed(machine, instance):
        return nothing("OpenStack is installed")
    lock = _data("openstack.lock")
    machine.remove(root)
    machine.make_folder(instance.cache, mode=0o700)
    uv = f"{sysconfig.get_path('scripts')}/uv"
    machine.run((uv, "venv", "--quiet", "--python", PYTHON, root), timeout=60)
    for name in ("openstack.lock", "build.lock"):
        machine.write(f"{root}/{name}", _data(name))
    notify("172 packages")
    machine.run(
        (
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            f"{root}/bin/python",
            # Each package is in the lock, but those that only tests of others need. Some come without a wheel: what builds
            # them is pinned and hashed as well.
            "--no-deps",
            "--require-hashes",
            "--build-constraints",
            f"{root}/build.lock",
            "-r",
            f"{root}/openstack.lock",
        ),
        timeout=600,
    )
    notify("compiling")
    # Without the tests, which are half of it: every service starts two to four seconds sooner.
    machine.run(
        (f"{root}/bin/python", "-m", "compileall", "-q", "-j", "0", "-x", r"/tests?/", f"{root}/lib"),
        timeout=600,
        check=False,
        env={"PYTHONDONTWRITEBYTECODE": ""},
    )
    machine.write(f"{root}/ouchi-ready", _stamp(lock))
    return changed("OpenStack installed")


def is_installed(machine: Reader, instance: Instance) -> bool:
    """True when the environment is whole and of this release's lock."""
    path = f"{instance.openstack}/ouchi-ready"
    return machine.exists(path) and machine.read(path) == _stamp(_data("openstack.lock"))


def _data(name: str) -> str:
    return (importlib.resources.files("ouchi.parts.openstack") / "data" / name).read_text("utf-8")


def _stamp(lock: str) -> str:
    return hashlib.sha256(lock.encode()).hexdigest()


PARTS = (Environment(),)
