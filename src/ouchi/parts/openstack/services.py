"""OpenStack's own programs as supervised services, in the order they depend on each other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ouchi.parts.settings import Settings
from ouchi.parts.supervise import CONFIGURATION, Service, digest

APIS = ("keystone", "placement", "glance", "nova", "neutron")
LATER = ("nova-conductor", "nova-scheduler", "nova-compute", "neutron-ovn-maintenance")
"""They ask keystone for a token at once and give up without a user: started when the users are there."""


def digests(texts: Mapping[str, str], hugepages: object) -> dict[str, str]:
    """What each project's services read when they start, as a fingerprint; nova also keeps the hugepages' totals."""
    found = {}
    for name in APIS:
        own = sorted((path, text) for path, text in texts.items() if f"{name}/" in path or path.endswith(f"/{name}.py"))
        found[name] = digest((own, hugepages if name == "nova" else None))
    return found


def api_services(settings: Settings, fingerprints: Mapping[str, str] = MappingProxyType({})) -> dict[str, Service]:
    """The five APIs under gunicorn by short name.

    gunicorn's own arguments go through the environment, because the applications parse ``sys.argv``.
    """
    etc = settings.instance.etc
    found = {
        "keystone": {"OS_KEYSTONE_CONFIG_DIR": f"{etc}/keystone"},
        "placement": {"OS_PLACEMENT_CONFIG_DIR": f"{etc}/placement"},
        "glance": {"OS_GLANCE_CONFIG_DIR": f"{etc}/glance"},
        "nova": {
            "OS_NOVA_CONFIG_DIR": "",
            "OS_NOVA_CONFIG_FILES": f"{settings.instance.openstack}/etc/nova/api-paste.ini;{etc}/nova/nova.conf",
        },
        "neutron": {"OS_NEUTRON_CONFIG_DIR": etc, "OS_NEUTRON_CONFIG_FILES": "neutron/neutron.conf"},
    }
    return {
        name: Service(
            f"{name}-api",
            (f"{settings.instance.openstack}/bin/gunicorn",),
            {
                **environment(settings),
                CONFIGURATION: fingerprints.get(name, ""),
                "GUNICORN_CMD_ARGS": f"-c {etc}/gunicorn/{name}.py",
                **variables,
            },
        )
        for name, variables in found.items()
    }


def later_services(settings: Settings, fingerprints: Mapping[str, str] = MappingProxyType({})) -> list[Service]:
    """nova's workers, its compute and OVN's maintenance worker."""
    programs = settings.instance.openstack + "/bin/"
    nova = ("--config-file", f"{settings.instance.etc}/nova/nova.conf")
    neutron = ("--config-file", f"{settings.instance.etc}/neutron/neutron.conf")
    argvs = {
        "nova-conductor": (f"{programs}nova-conductor", *nova),
        "nova-scheduler": (f"{programs}nova-scheduler", *nova),
        "nova-compute": (f"{programs}nova-compute", *nova),
        "neutron-ovn-maintenance": (f"{programs}neutron-ovn-maintenance-worker", *neutron),
    }
    return [
        Service(
            name,
            argvs[name],
            environment(settings) | {CONFIGURATION: fingerprints.get(name.partition("-")[0], "")},
            stop_seconds=4,
        )
        for name in LATER
    ]


def environment(settings: Settings) -> dict[str, str]:
    """What every OpenStack program runs with. Fewer malloc arenas: less memory for programs with many threads."""
    return {
        **settings.instance.environment,
        "PATH": f"{settings.instance.openstack}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
        # Some name their processes with setproctitle, which would write over the mark in /proc/PID/environ.
        "SPT_NOENV": "1",
    }
