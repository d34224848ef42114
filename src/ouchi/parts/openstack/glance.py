"""Glance: the image API, with its images as files."""

from __future__ import annotations

from collections.abc import Mapping

from ouchi.core.events import Notify
from ouchi.parts.context import Context
from ouchi.parts.openstack.api import Api, common, database
from ouchi.parts.part import Endpoint, Listener
from ouchi.parts.settings import Settings
from ouchi.render.ini import Sections, merge


class Glance(Api):
    name = "glance"
    ports = (Listener("glance", 291, "glance-api"),)
    secrets = ("glance",)
    schemas = ("glance",)
    endpoint = Endpoint("image", version="/v2")
    service_names = ("glance-api",)
    wsgi = "glance.wsgi.api"
    configuration = "glance/glance-api.conf"

    def sections(self, settings: Settings) -> Sections:
        return merge(
            common(settings, "glance"),
            {
                "DEFAULT": {"enabled_backends": "images:file", "worker_self_reference_url": settings.url("glance")},
                "database": database(settings, "glance"),
                "glance_store": {"default_backend": "images"},
                "images": {"filesystem_store_datadir": f"{settings.instance.state}/glance/images"},
                "os_glance_staging_store": {"filesystem_store_datadir": f"{settings.instance.state}/glance/staging"},
                "os_glance_tasks_store": {"filesystem_store_datadir": f"{settings.instance.state}/glance/tasks"},
                "paste_deploy": {
                    "flavor": "keystone",
                    "config_file": f"{settings.instance.openstack}/etc/glance/glance-api-paste.ini",
                },
            },
        )

    def variables(self, settings: Settings) -> Mapping[str, str]:
        return {"OS_GLANCE_CONFIG_DIR": f"{settings.instance.etc}/glance"}

    def prepare(self, at: Context, notify: Notify) -> str:
        at.machine.make_folder(f"{at.instance.state}/glance/images")
        at.machine.make_folder(f"{at.instance.run}/locks", mode=0o700)
        return ""


PARTS = (Glance(),)
