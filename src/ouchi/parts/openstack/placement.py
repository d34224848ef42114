"""Placement: the inventory of compute nodes, and its allocations."""

from __future__ import annotations

from collections.abc import Mapping

from ouchi.parts.context import Context
from ouchi.parts.daemon import File
from ouchi.parts.openstack.api import Api, common, database
from ouchi.parts.part import Endpoint, Listener
from ouchi.parts.settings import Settings
from ouchi.render.ini import Sections, merge


class Placement(Api):
    name = "placement"
    ports = (Listener("placement", 292, "placement-api"),)
    secrets = ("placement",)
    schemas = ("placement",)
    endpoint = Endpoint("placement")
    service_names = ("placement-api",)
    wsgi = "placement.wsgi.api"
    configuration = "placement/placement.conf"

    def sections(self, settings: Settings) -> Sections:
        return merge(
            common(settings, "placement"),
            {
                "api": {"auth_strategy": "keystone"},
                "placement_database": database(settings, "placement"),
                "oslo_policy": {"policy_file": f"{settings.instance.etc}/placement/policy.yaml"},
            },
        )

    def variables(self, settings: Settings) -> Mapping[str, str]:
        return {"OS_PLACEMENT_CONFIG_DIR": f"{settings.instance.etc}/placement"}

    def files(self, at: Context) -> Mapping[str, File]:
        return {**super().files(at), "placement/policy.yaml": File("{}\n")}


PARTS = (Placement(),)
