"""The kernel parameters, as a GRUB drop-in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.plan.target import Target
from ouchi.render.files import Rendered, text_file

PATH = "etc/default/grub.d/90-ouchi.cfg"


def kernel(target: Target) -> Rendered:
    """A file that update-grub sources after ``/etc/default/grub``, so what stands there is kept."""
    if not target.plan.kernel_args:
        return text_file(target, PATH, (), "The plan has no kernel parameters.")
    return drop_in(target, target.plan.kernel_args)


def drop_in(target: Target, parameters: Sequence[str]) -> Rendered:
    """The file with these kernel parameters."""
    line = f'GRUB_CMDLINE_LINUX="${{GRUB_CMDLINE_LINUX:-}} "{shlex.quote(" ".join(parameters))}'
    return text_file(target, PATH, (line,), "Then: update-grub, and reboot. To undo: remove the file, the same again.")
