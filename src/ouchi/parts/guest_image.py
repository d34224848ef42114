"""The guest image, built on this host from the distribution's own packages."""

from __future__ import annotations

from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present
from ouchi.vnf.images.small import Image, build_image


class GuestImage(Part):
    name = "guest image"
    stage = "prepare"
    needs = ("packages",)

    def look(self, at: Context) -> PartState:
        files = at.machine.entries(at.images)
        if not any(name.startswith("guest-") and name.endswith(".img") for name in files):
            return missing("build the guest image from the distribution's packages", state="not built")
        if (image := at.planned_image) and image.reused:
            return present(f"{image.size / 2**20:.0f} MiB, built before", "built")
        to_do = "build the guest image anew: its kernel or programs have changed"
        return PartState(True, "built", "of an earlier kernel or earlier programs", to_do)

    def make(self, at: Context, notify: Notify) -> Outcome:
        at.image = image = build_image(at.machine, at.images, notify)
        size = f"{image.size / 2**20:.0f} MiB"
        return nothing(f"{size}, built before") if image.reused else changed(f"{size} built")


def built(at: Context) -> Image:
    """The image that this part made, for the parts that need it."""
    if at.image is None:
        raise ValueError("the guest image was not made in this run")
    return at.image


PARTS = (GuestImage(),)
