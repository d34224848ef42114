"""``ouchi up --dry-run``: the plan, and for each task of ``up`` what it would do; read only, as far as reading tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from ouchi.clients.openstack import Cloud
from ouchi.core.errors import BadInput, Finding
from ouchi.core.instance import Instance
from ouchi.flows.preflight import check_disk, check_others
from ouchi.flows.up import PACKAGES
from ouchi.machine import CommandFailed, Machine
from ouchi.parts import cards, clouds, endpoint, hugepages, ovn, ovs
from ouchi.parts import hugetlbfs as mount
from ouchi.parts import rabbitmq as messaging
from ouchi.parts.openstack.environment import is_installed
from ouchi.parts.openstack.resources import port_name
from ouchi.parts.openstack.services import APIS, LATER
from ouchi.parts.packages import missing_packages
from ouchi.parts.settings import Settings
from ouchi.parts.stages import STAGES
from ouchi.parts.supervise import Supervisor
from ouchi.plan.flavors import flavor_name
from ouchi.plan.nics import missing_packages as driver_packages
from ouchi.plan.target import Target
from ouchi.steps.journal import Journal
from ouchi.vnf.images.small import BUILD_PACKAGES

ASK_SECONDS = 4.0
"""How long the cloud may take for each answer."""


class Will(StrEnum):
    """What a task would do: change something, nothing, or what cannot be told from here."""

    CHANGE = "would"
    NOTHING = "nothing to do"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True)
class Intent:
    """A task of ``up`` and what it would do."""

    stage: str
    task: str
    will: Will
    text: str


Answer = tuple[Will, str]


@dataclass
class Ahead:
    """What is there before ``up``; ``root`` says whether all of it may be read."""

    machine: Machine
    instance: Instance
    supervisor: Supervisor
    target: Target
    root: bool
    running: frozenset[str] | None = field(init=False)
    """The services that run; ``None`` when that cannot be told."""

    def __post_init__(self) -> None:
        hidden = not self.root and self.machine.exists(self.instance.run)
        self.running = None if hidden else frozenset(n for n, state in self.supervisor.states().items() if state.pid)

    def intents(self, until: str = STAGES[-1]) -> list[Intent]:
        """The tasks of ``up`` in its order, up to a stage, each with what it would do."""
        known: dict[str, frozenset[str]] | None = None
        if STAGES.index(until) >= STAGES.index("cloud"):
            known = self.cloud()
        table: list[tuple[str, str, Callable[[], Answer]]] = [
            ("prepare", "packages", self.packages),
            ("prepare", "openstack", self.openstack),
            ("prepare", "libvirt binding", self.libvirt_binding),
            ("prepare", "guest image", self.guest_image),
            ("inspect", "facts", lambda: (Will.NOTHING, "read for this preview")),
            ("inspect", "kvm", self.kvm),
            ("plan", "pools and memory", self.plan),
            ("host", "hugepages", self.hugepages),
            ("host", "hugetlbfs", self.hugetlbfs),
            ("dataplane", "ovs-vswitchd", partial(self.services, [s.name for s in ovs.services(self.instance)])),
            ("dataplane", "bridges", self.bridges),
            ("dataplane", "cards", self.cards),
            ("dataplane", "endpoints", self.endpoints),
            ("cloud", "settings", self.settings),
            ("cloud", "mariadb", partial(self.services, ["mariadb"])),
            ("cloud", "rabbitmq", partial(self.services, [s.name for s in messaging.services(self.instance)])),
            ("cloud", "ovn", partial(self.services, [s.name for s in ovn.services(self.instance)])),
            ("cloud", "configuration", self.configuration),
            ("cloud", "libvirtd", partial(self.services, ["libvirtd"])),
            ("cloud", "keystone", partial(self.services, ["keystone-api"])),
            ("cloud", "apis", partial(self.services, [f"{name}-api" for name in APIS if name != "keystone"])),
            ("cloud", "users", partial(self.objects, known, "users", [name for name in APIS if name != "keystone"])),
            ("cloud", "nova", partial(self.services, list(LATER))),
            ("network", "networks", partial(self.objects, known, "networks", self.network_names())),
            ("image", "upload", partial(self.objects, known, "images", ["ouchi-guest"])),
            ("flavor", "flavors", partial(self.objects, known, "flavors", map(flavor_name, self.target.plan.guests))),
            ("servers", "servers", partial(self.objects, known, "servers", [g.name for g in self.target.plan.guests])),
            (
                "verify",
                "verify",
                lambda: (Will.CHANGE, "check everything from live state and measure; no setting changes"),
            ),
        ]
        last = STAGES.index(until)
        return [_intent(stage, task, see) for stage, task, see in table if STAGES.index(stage) <= last]

    def in_the_way(self) -> list[Finding]:
        """What would make ``up`` refuse: a full disk, ports and devices that somebody else holds."""
        found: list[Finding] = []
        there = self.instance.state if self.machine.exists(self.instance.state) else "/var/lib"
        bridges = (ovs.INTEGRATION, *self.target.bridges.values())
        journal = Journal(self.machine, self.instance.state)
        for check in (
            partial(check_disk, self.machine, there),
            partial(check_others, self.machine, self.instance, journal, self.supervisor, bridges),
        ):
            try:
                if self.running is not None:  # otherwise our own services would be taken for somebody else's
                    check()
            except BadInput as reason:
                found += reason.findings
            except CommandFailed:  # iproute2 is one of the packages that are still to come
                continue
        return found

    # prepare, inspect, plan

    def packages(self) -> Answer:
        names = (*PACKAGES, *BUILD_PACKAGES, *driver_packages(self.target.site, self.target.facts))
        missing = missing_packages(self.machine, names)
        if missing:
            return Will.CHANGE, f"install {len(missing)} packages: {' '.join(missing)}"
        return Will.NOTHING, f"all {len(names)} packages are installed"

    def openstack(self) -> Answer:
        if is_installed(self.machine, self.instance):
            return Will.NOTHING, "OpenStack is installed"
        return Will.CHANGE, f"install OpenStack into {self.instance.openstack}"

    def libvirt_binding(self) -> Answer:
        if self.machine.exists(f"{self.instance.openstack}/ouchi-libvirt"):
            return Will.NOTHING, "the distribution's libvirt binding is linked"
        return Will.CHANGE, "link the distribution's libvirt binding"

    def guest_image(self) -> Answer:
        names = self.machine.entries(f"{self.instance.cache}/images")
        if any(name.startswith("guest-") and name.endswith(".img") for name in names):
            return Will.NOTHING, "built before (again only when its kernel or programs have changed)"
        return Will.CHANGE, "build the guest image from the distribution's packages"

    def kvm(self) -> Answer:
        path = f"{self.instance.run}/kvm.json"
        if not self.machine.exists(path):
            return Will.CHANGE, "try whether a guest starts under KVM"
        works, why = json.loads(self.machine.read(path))
        return Will.NOTHING, f"{why}: {'KVM' if works else 'emulation (TCG)'}"

    def plan(self) -> Answer:
        if self.target.new:
            return Will.CHANGE, f"write {self.target.site_file} for this machine"
        return Will.NOTHING, f"made from {self.target.site_file} and the facts"

    # host, dataplane

    def hugepages(self) -> Answer:
        records = Journal(self.machine, self.instance.state).records(hugepages.KIND)
        texts = []
        for need in self.target.plan.hugepages:
            have = int(self.machine.read(hugepages.counter(need.node, need.size_kib)))
            record = records.get(f"{need.node}:{need.size_kib}", {})
            if not record.get("reserved") or record["ours"] != need.count or have < need.count:
                texts.append(f"node {need.node}: {need.count} pages of {need.size_kib} KiB; there are {have}")
        counts = sum(need.count for need in self.target.plan.hugepages)
        return (Will.CHANGE, "reserve " + "; ".join(texts)) if texts else (Will.NOTHING, f"{counts} pages are reserved")

    def hugetlbfs(self) -> Answer:
        path = self.instance.hugepages
        there = mount.is_mounted(self.machine, path)
        return (Will.NOTHING, f"{path} is mounted") if there else (Will.CHANGE, f"mount {path}")

    def bridges(self) -> Answer:
        return self._devices((ovs.INTEGRATION, *self.target.bridges.values()), "make the bridges")

    def cards(self) -> Answer:
        taken = cards.ports(self.target)
        if not taken:
            return Will.NOTHING, "the site names no card"
        return Will.CHANGE, f"attach {', '.join(f'{address} as {port}' for port, address in taken.items())}"

    def endpoints(self) -> Answer:
        points = endpoint.endpoints(self.target.site, self.target.bridges)
        if not points:
            return Will.NOTHING, "the site asks for none"
        texts = {f"{point.address} on VLAN {point.vlan}": point.namespace(self.instance) for point in points}
        missing = [text for text, space in texts.items() if not self.machine.exists(f"/run/netns/{space}")]
        return (Will.CHANGE, f"attach {', '.join(missing)}") if missing else (Will.NOTHING, ", ".join(texts))

    def _devices(self, names: Iterable[str], what: str) -> Answer:
        names = tuple(names)
        missing = [name for name in names if not self.machine.exists(f"/sys/class/net/{name}")]
        return (Will.CHANGE, f"{what} {', '.join(missing)}") if missing else (Will.NOTHING, ", ".join(names))

    # cloud

    def settings(self) -> Answer:
        file = f"{clouds.FOLDER}/clouds.yaml"
        if file in Journal(self.machine, self.instance.state).records(clouds.KIND):
            return Will.NOTHING, f"this cloud is in {file}"
        return Will.CHANGE, f"add this cloud to {file}, with passwords of its own"

    def configuration(self) -> Answer:
        folder = self.instance.etc
        if self.machine.exists(f"{folder}/nova"):
            return Will.NOTHING, f"written into {folder}, and again each time"
        return Will.CHANGE, f"write the services' configuration into {folder}"

    def services(self, names: Iterable[str]) -> Answer:
        names = tuple(names)
        if self.running is None:
            return Will.UNKNOWN, f"only root sees whether {', '.join(names)} run"
        down = [name for name in names if name not in self.running]
        return (Will.CHANGE, f"start {', '.join(down)}") if down else (Will.NOTHING, f"running: {', '.join(names)}")

    def network_names(self) -> list[str]:
        """The networks of the site and the ports of its servers."""
        site = self.target.site
        ports = [port_name(server, number) for server in site.servers for number in range(len(server.ports))]
        return [*(network.name for network in site.networks), *ports]

    def objects(self, known: Mapping[str, frozenset[str]] | None, kind: str, names: Iterable[str]) -> Answer:
        """What is missing of ``names``, as the cloud says; when it does not answer, as far as its data are there."""
        wanted = list(dict.fromkeys(names))
        if known is not None:
            missing = [name for name in wanted if name not in known[kind]]
            return (
                (Will.CHANGE, f"make {', '.join(missing)}")
                if missing
                else (Will.NOTHING, f"{', '.join(wanted)}: there")
            )
        if self.machine.exists(f"{self.instance.state}/mariadb"):
            return Will.UNKNOWN, f"the cloud cannot be asked; make what is missing of {', '.join(wanted)}"
        return Will.CHANGE, f"make {', '.join(wanted)}"

    def cloud(self) -> dict[str, frozenset[str]] | None:
        """The names that the cloud has, by kind; ``None`` when it cannot be asked."""
        path = f"{self.instance.state}/secrets.json"
        apis = {"mariadb", *(f"{name}-api" for name in APIS)}
        if not apis <= (self.running or frozenset()) or not self.machine.exists(path):
            return None
        secrets = json.loads(self.machine.read(path))
        settings = Settings(self.instance, secrets, self.target.facts.system.hostname, {}, ())
        try:
            return _names(Cloud(settings.access, ASK_SECONDS))
        except Exception:  # noqa: BLE001  # a cloud that half runs fails in many ways, and then cannot be asked
            return None


def _intent(stage: str, task: str, see: Callable[[], Answer]) -> Intent:
    try:
        will, text = see()
    except PermissionError as reason:
        will, text = Will.UNKNOWN, f"only root may read {reason.filename}"
    except (CommandFailed, OSError, ValueError) as reason:
        will, text = Will.UNKNOWN, str(reason).splitlines()[0]
    return Intent(stage, task, will, text)


def _names(cloud: Cloud) -> dict[str, frozenset[str]]:
    def names(service: str, path: str) -> frozenset[str]:
        return frozenset(cloud.named(service, path))

    images = cloud.rows("glance", "images", status="active", limit="1000")
    return {
        "users": names("keystone", "users"),
        "networks": names("neutron", "networks") | names("neutron", "ports"),
        # The name ends in the key of what the image was made from, which is known when it is built.
        "images": frozenset(row["name"].rpartition("-")[0] for row in images),
        "flavors": names("nova", "flavors"),
        "servers": frozenset(row["name"] for row in cloud.rows("nova", "servers/detail") if row["status"] == "ACTIVE"),
    }
