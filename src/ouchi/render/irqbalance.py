"""irqbalance: which CPUs it gives no interrupts."""

from __future__ import annotations

from ouchi.core.cpulist import format_cpus
from ouchi.plan.target import Target
from ouchi.render.files import Rendered, text_file

PATH = "etc/systemd/system/irqbalance.service.d/90-ouchi.conf"


def irqbalance(target: Target) -> Rendered:
    """A drop-in for its unit, so ``/etc/default/irqbalance`` stays the administrator's; a line there would win."""
    cpus = format_cpus(target.isolated_cpus)
    if not cpus:  # an empty list would let irqbalance have what it leaves alone by itself
        return text_file(target, PATH, (), "No CPU has PMD threads or pinned vCPUs alone: nothing is banned.")
    return text_file(
        target,
        PATH,
        ("[Service]", f'Environment="IRQBALANCE_BANNED_CPULIST={cpus}"'),
        "Needs irqbalance 1.8 or later. Then: systemctl daemon-reload; systemctl restart irqbalance.",
    )
