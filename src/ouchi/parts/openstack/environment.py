"""OpenStack's own Python environment: the release, locked, beside the distribution's libvirt binding."""

from __future__ import annotations

import hashlib
import importlib.resources
import sysconfig

from ouchi.core.errors import Failed, error
from ouchi.core.events import Say
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine, Reader

PYTHON = "/usr/bin/python3"
"""The distribution's, because its libvirt binding is built for it."""


def install(machine: Machine, instance: Instance, say: Say) -> Outcome:
    """Make the environment; a stamp at the end says that it is whole."""
    root = instance.openstack
    if is_installed(machine, instance):
        return nothing("OpenStack is installed")
    lock = _lock()
    machine.remove(root)
    machine.make_folder(instance.cache)
    uv = f"{sysconfig.get_path('scripts')}/uv"
    machine.run((uv, "venv", "--quiet", "--python", PYTHON, root), timeout=60)
    machine.write(f"{root}/openstack.lock", lock)
    say("180 packages")
    machine.run(
        (
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            f"{root}/bin/python",
            "--require-hashes",
            "-r",
            f"{root}/openstack.lock",
        ),
        timeout=600,
    )
    say("compiling")
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
    return machine.exists(path) and machine.read(path) == _stamp(_lock())


def _lock() -> str:
    return (importlib.resources.files("ouchi.parts.openstack") / "data" / "openstack.lock").read_text("utf-8")


def _stamp(lock: str) -> str:
    return hashlib.sha256(lock.encode()).hexdigest()


def link_libvirt(machine: Machine, instance: Instance) -> Outcome:
    """Link the distribution's binding into the environment; PyPI has no wheel of it.

    Raises :class:`~ouchi.core.errors.Failed` when it does not load there.
    """
    root = instance.openstack
    if machine.exists(f"{root}/ouchi-libvirt"):
        return nothing("the distribution's libvirt binding is linked")
    version = machine.run(
        (f"{root}/bin/python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    ).stdout.strip()
    source = "/usr/lib/python3/dist-packages"
    names = [name for name in machine.entries(source) if name.startswith(("libvirt", "libvirtmod"))]
    target = f"{root}/lib/python{version}/site-packages"
    for name in names:
        machine.run(("ln", "-sfn", f"{source}/{name}", f"{target}/{name}"))
    answer = machine.run((f"{root}/bin/python", "-c", "import libvirt"), check=False)
    if not answer.ok:
        raise Failed(
            error(
                "the distribution's libvirt binding does not load in OpenStack's environment",
                where=target,
                found=answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "no message",
                expected=f"python3-libvirt built for {PYTHON} ({version})",
                remedy="apt-get install --reinstall python3-libvirt",
            )
        )
    machine.write(f"{root}/ouchi-libvirt", version)
    return changed("the distribution's libvirt binding linked")
