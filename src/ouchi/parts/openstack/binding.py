"""The distribution's libvirt binding in OpenStack's Python environment: PyPI has no wheel of it."""

from __future__ import annotations

from ouchi.core.errors import Failed
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine, Reader
from ouchi.parts.context import Context
from ouchi.parts.openstack.environment import PYTHON
from ouchi.parts.part import Part, PartState, missing, present


class Binding(Part):
    name = "libvirt binding"
    stage = "prepare"
    needs = ("packages", "openstack")

    def look(self, at: Context) -> PartState:
        if is_linked(at.machine, at.instance):
            return present(state="linked")
        return missing("link the distribution's libvirt binding into OpenStack's environment", state="not linked")

    def make(self, at: Context, notify: Notify) -> Outcome:
        return link(at.machine, at.instance)


def is_linked(machine: Reader, instance: Instance) -> bool:
    """True when the binding was linked and loads."""
    return machine.exists(f"{instance.openstack}/ouchi-libvirt")


def link(machine: Machine, instance: Instance) -> Outcome:
    """Link the distribution's binding into the environment.

    Raises :class:`~ouchi.core.errors.Failed` when it does not load there.
    """
    root = instance.openstack
    if is_linked(machine, instance):
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
        raise Failed.of(
            "the distribution's libvirt binding does not load in OpenStack's environment",
            where=target,
            found=answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "no message",
            expected=f"python3-libvirt built for {PYTHON} ({version})",
            remedy="apt-get install --reinstall python3-libvirt",
        )
    machine.write(f"{root}/ouchi-libvirt", version)
    return changed("the distribution's libvirt binding linked")


PARTS = (Binding(),)
