"""The guest image in glance."""

from __future__ import annotations

from dataclasses import replace

from ouchi.clients.openstack import Cloud
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.guest_image import built
from ouchi.parts.openstack.objects import look_for
from ouchi.parts.part import Part, PartState
from ouchi.parts.settings import MARK
from ouchi.vnf.images.small import Image

PREFIX = "ouchi-guest"


class GlanceImage(Part):
    name = "image"
    stage = "image"
    needs = ("guest image", "users", "glance")
    on = "controller"

    def look(self, at: Context) -> PartState:
        """Any guest image of ouchi serves; up uploads the one that the host's packages give now."""
        active: list[str] = []

        def known() -> set[str]:
            active.extend(_active(at.cloud))
            return {name.rpartition("-")[0] for name in active}

        state = look_for(at, [PREFIX], "glance-api", known)
        if state.ok and (image := at.planned_image) and image_name(image) not in active:
            return replace(state, to_do=f"upload {image_name(image)}")
        return state

    def make(self, at: Context, notify: Notify) -> Outcome:
        return ensure_image(at.machine, at.cloud, built(at), notify)


def _active(cloud: Cloud) -> list[str]:
    return [row["name"] for row in cloud.rows("glance", "images", status="active", limit="1000")]


def image_name(image: Image) -> str:
    """The name of a guest image in glance: another image has another name."""
    return f"{PREFIX}-{image.key[:12]}"


def ensure_image(machine: Machine, cloud: Cloud, image: Image, notify: Notify) -> Outcome:
    """Upload the guest image under its key; one that is only half there is replaced."""
    name = image_name(image)
    for known in cloud.rows("glance", "images", name=name):
        if known["status"] == "active":
            return nothing(f"{name} is there")
        cloud.request("DELETE", "glance", f"images/{known['id']}")
    notify(f"uploading {image.size / 2**20:.0f} MiB")
    properties = {
        "name": name,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
        "hw_vif_model": "virtio",
        "hw_disk_bus": "virtio",
        # libvirt has no ejectable virtio disk, and small kernels have no AHCI: the config drive comes by SCSI.
        "hw_cdrom_bus": "scsi",
        "hw_scsi_model": "virtio-scsi",
        "hw_rng_model": "virtio",
        "description": MARK,
    }
    made = cloud.request("POST", "glance", "images", json=properties).json()
    content, headers = machine.read_bytes(image.path), {"Content-Type": "application/octet-stream"}
    cloud.request("PUT", "glance", f"images/{made['id']}/file", data=content, headers=headers)
    return changed(f"{name} uploaded")


PARTS = (GlanceImage(),)
