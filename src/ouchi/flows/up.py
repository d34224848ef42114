"""``ouchi up``: the stages as a table of tasks, each started as soon as what it needs is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ouchi.checks.verify import Verdict, verify
from ouchi.clients.http import wait_for_api
from ouchi.clients.libvirt import virsh
from ouchi.clients.openstack import Cloud
from ouchi.core.events import Kind, Say, Timeline
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.tasks import Task
from ouchi.facts import Facts
from ouchi.flows.preflight import check_disk, check_others
from ouchi.flows.status import kept_site
from ouchi.machine.local import LocalMachine
from ouchi.parts import cards, clouds, device, endpoint, hugepages, kvm, libvirt, ovn, ovs, packages
from ouchi.parts import hugetlbfs as mount
from ouchi.parts import mariadb as database
from ouchi.parts import rabbitmq as messaging
from ouchi.parts.openstack import environment, identity, resources
from ouchi.parts.openstack import services as openstack
from ouchi.parts.openstack.configuration import openstack_files
from ouchi.parts.secrets import load_secrets
from ouchi.parts.settings import Settings
from ouchi.parts.stages import STAGES
from ouchi.parts.supervise import Supervisor
from ouchi.parts.supervise.choose import choose_supervisor
from ouchi.plan import Plan
from ouchi.plan.load import facts_of, read_target
from ouchi.plan.target import Target
from ouchi.render.ovs import other_config
from ouchi.report.plan import plan_text
from ouchi.site import Site, default_site
from ouchi.steps.journal import Journal
from ouchi.vnf.images.small import BUILD_PACKAGES, Image, build_image

PACKAGES = (
    "openvswitch-switch-dpdk",
    # DPDK's drivers are plug-ins: without this one there is no memory pool (Debian 12, Ubuntu 24.04, Debian 13, and what comes).
    "librte-mempool-ring23|librte-mempool-ring24|librte-mempool-ring25|librte-mempool-ring26",
    "ovn-central",
    "ovn-host",
    "mariadb-server",
    "rabbitmq-server",
    "libvirt-daemon-system",
    "libvirt-clients",
    "libvirt-daemon-driver-qemu",
    "python3-libvirt",
    "qemu-system-x86",
    "qemu-utils",
    "genisoimage",
    "iproute2",
    "iputils-ping",
    "ethtool",
    "iperf3",
)
"""What the host needs; the guest image's own tools come on top."""


@dataclass
class Up:
    """One run of ``up``: what the tasks learn and hand on to each other."""

    machine: LocalMachine
    instance: Instance
    site_file: str
    timeline: Timeline
    drivers: tuple[str, ...] = ()
    """Packages of drivers for the site's cards."""
    journal: Journal = field(init=False)
    supervisor: Supervisor = field(init=False)
    site: Site = field(init=False)
    facts: Facts = field(init=False)
    plan: Plan = field(init=False)
    target: Target = field(init=False)
    bridges: dict[str, str] = field(init=False)
    settings: Settings = field(init=False)
    emulated: bool = field(init=False)
    cloud: Cloud = field(init=False)
    digests: dict[str, str] = field(init=False)
    image: Image = field(init=False)
    verdict: Verdict | None = None

    def __post_init__(self) -> None:
        folders = {
            self.instance.state: 0o755,
            self.instance.run: 0o755,
            self.instance.logs: 0o750,
            self.instance.etc: 0o711,
        }
        for folder, mode in folders.items():
            self.machine.make_folder(folder, mode=mode)
        self.journal = Journal(self.machine, self.instance.state)
        self.supervisor = choose_supervisor(self.machine, self.instance)

    def made(self) -> tuple[Site | None, Plan | None, Verdict | None]:
        """What the run has come to so far: site, plan and verdict."""
        return getattr(self, "site", None), getattr(self, "plan", None), self.verdict

    def tasks(self, until: str = STAGES[-1]) -> list[Task]:
        """The table. Stage by stage as the user thinks of them; ``needs`` says what really waits for what."""
        table = [
            Task("prepare", "packages", self.packages),
            Task("prepare", "openstack", self.openstack),
            Task("prepare", "libvirt binding", self.libvirt_binding, ("packages", "openstack")),
            Task("inspect", "facts", self.inspect, ("packages",)),
            Task("inspect", "kvm", self.probe_kvm, ("packages",)),
            Task("plan", "pools and memory", self.make_plan, ("facts",)),
            Task("host", "hugepages", self.hugepages, ("pools and memory",)),
            Task("host", "hugetlbfs", self.hugetlbfs, ("hugepages",)),
            Task("dataplane", "ovs-vswitchd", self.switch, ("hugetlbfs",)),
            Task("dataplane", "bridges", self.make_bridges, ("ovs-vswitchd",)),
            Task("dataplane", "cards", self.cards, ("bridges",)),
            Task("dataplane", "endpoints", self.endpoints, ("bridges",)),
            Task("cloud", "settings", self.settle, ("pools and memory",)),
            Task("cloud", "mariadb", self.mariadb, ("settings",)),
            Task("cloud", "rabbitmq", self.rabbitmq, ("settings",)),
            Task("cloud", "ovn", self.ovn, ("settings", "bridges")),
            Task("cloud", "configuration", self.configure, ("settings", "kvm")),
            Task("cloud", "libvirtd", self.libvirtd, ("configuration", "hugetlbfs")),
            Task("cloud", "keystone", self.keystone, ("mariadb", "configuration", "openstack")),
            Task("cloud", "apis", self.apis, ("mariadb", "configuration", "openstack", "ovn")),
            Task("cloud", "users", self.users, ("keystone",)),
            Task("cloud", "nova", self.nova, ("users", "apis", "rabbitmq", "libvirtd", "libvirt binding")),
            Task("network", "networks", self.networks, ("users", "apis", "rabbitmq")),
            Task("prepare", "guest image", self.build_image, ("packages",)),
            Task("image", "upload", self.upload, ("guest image", "users", "apis")),
            Task("flavor", "flavors", self.flavors, ("users", "apis")),
            Task("servers", "servers", self.servers, ("nova", "networks", "upload", "flavors", "endpoints", "cards")),
            Task("verify", "verify", self.verify, ("servers",)),
        ]
        return [task for task in table if STAGES.index(task.stage) <= STAGES.index(until)]

    # prepare

    def packages(self, say: Say) -> Outcome:
        check_disk(self.machine, self.instance.state)
        return packages.install(self.machine, self.journal, (*PACKAGES, *BUILD_PACKAGES, *self.drivers), say)

    def openstack(self, say: Say) -> Outcome:
        return environment.install(self.machine, self.instance, say)

    def libvirt_binding(self, _say: Say) -> Outcome:
        return environment.link_libvirt(self.machine, self.instance)

    # inspect, plan

    def inspect(self, _say: Say) -> Outcome:
        self.facts = facts_of(self.machine)
        cores = len({(cpu.package, cpu.core) for cpu in self.facts.cpus if cpu.online})
        memory = sum(node.total_kib for node in self.facts.memory) / 2**20
        return nothing(f"{cores} cores, {memory:.0f} GiB, {self.facts.system.distribution.pretty}")

    def probe_kvm(self, _say: Say) -> Outcome:
        works, why = kvm.remembered(self.machine, self.instance)
        self.emulated = not works
        return nothing(why if works else f"{why}: emulation (TCG)")

    def make_plan(self, _say: Say) -> Outcome:
        if not self.machine.exists(self.site_file):
            memory = sum(node.total_kib for node in self.facts.memory) // 1024
            text = default_site(self.facts.system.hostname, len(self.facts.cpus), memory)
            self.machine.write(self.site_file, text)
            self.timeline.emit(Kind.NOTE, "plan", "site", f"{self.site_file} written for this machine: yours to change")
        self.target = read_target(self.machine, self.site_file)
        self.site, self.plan, self.bridges = self.target.site, self.target.plan, self.target.bridges
        # What later commands hold the host against, whatever becomes of the user's file meanwhile.
        self.machine.write(kept_site(self.instance), self.machine.read(self.site_file))
        bridges = (ovs.INTEGRATION, *self.bridges.values())
        check_others(self.machine, self.instance, self.journal, self.supervisor, bridges)
        self.timeline.emit(Kind.NOTE, "plan", "plan", plan_text(self.plan))
        return nothing("made from the site and the facts")

    # host

    def hugepages(self, _say: Say) -> Outcome:
        words = [word for word in self.plan.kernel_args if word.startswith(("default_hugepagesz=", "hugepage"))]
        at_boot = set(words) <= set(self.facts.boot.parameters)
        done = [
            hugepages.reserve(self.machine, self.journal, need.node, need.size_kib, need.count, at_boot=at_boot)
            for need in self.plan.hugepages
        ]
        return Outcome("; ".join(outcome.text for outcome in done), any(outcome.changed for outcome in done))

    def hugetlbfs(self, _say: Say) -> Outcome:
        return mount.mount_hugetlbfs(self.machine, self.instance.hugepages, self.plan.hugepages[0].size_kib)

    # dataplane

    def switch(self, _say: Say) -> Outcome:
        settings = other_config(self.target)
        database, switch = ovs.services(self.instance, settings)
        ovs.create_database(self.machine, self.instance)
        started = self.supervisor.start([database])
        ovs.wait_for_database(self.machine, self.instance)
        identifiers = ovn.chassis(self.instance, self.facts.system.hostname, self.bridges)
        ovs.configure(self.machine, self.instance, settings, identifiers)
        started += self.supervisor.start([switch])
        ovs.wait_for_switch(self.machine, self.instance)
        return _started(started, "OVS-DPDK runs")

    def make_bridges(self, _say: Say) -> Outcome:
        for name in (ovs.DATAPATH, ovs.INTEGRATION, *self.bridges.values()):
            device.note(self.machine, self.journal, name)
        ovs.create_bridges(self.machine, self.instance, self.bridges)
        return nothing(", ".join((ovs.INTEGRATION, *self.bridges.values())))

    def cards(self, _say: Say) -> Outcome:
        return cards.attach(self.machine, self.instance, self.target)

    def endpoints(self, _say: Say) -> Outcome:
        done = [
            endpoint.attach(self.machine, self.journal, self.instance, point, number)
            for number, point in enumerate(endpoint.endpoints(self.site, self.bridges))
        ]
        if not done:
            return nothing("the site asks for none")
        return Outcome("; ".join(outcome.text for outcome in done), any(outcome.changed for outcome in done))

    # cloud

    def settle(self, _say: Say) -> Outcome:
        self.settings = Settings(
            instance=self.instance,
            secrets=load_secrets(self.machine, self.instance),
            host=self.facts.system.hostname,
            nova=self.plan.nova,
            physnets=tuple(self.bridges),
            mtu=max((network.mtu for network in self.site.networks), default=1500),
        )
        self.cloud = Cloud(self.settings.access)
        self._write("mariadb.cnf", database.configuration(self.instance), mode=0o644)
        messaging.prepare(self.machine, self.settings)
        for folder in ("nova/instances", "glance/images", "neutron"):
            self.machine.make_folder(f"{self.instance.state}/{folder}")
        self.machine.make_folder(f"{self.instance.run}/locks", mode=0o700)
        return clouds.add(self.machine, self.journal, self.settings)

    def configure(self, _say: Say) -> Outcome:
        texts = openstack_files(self.settings, emulated=self.emulated)
        for name, text in texts.items():
            self._write(name, text)
        self.digests = openstack.digests(texts, self.plan.hugepages)
        version = kvm.qemu_version(self.machine)
        libvirt.prepare(self.machine, self.journal, self.instance, emulated=self.emulated, qemu_version=version)
        return nothing("written")

    def _write(self, name: str, text: str, mode: int = 0o600) -> None:
        path = f"{self.instance.etc}/{name}"
        self.machine.make_folder(path.rsplit("/", 1)[0], mode=0o711)
        self.machine.write(path, text, mode=mode)

    def mariadb(self, say: Say) -> Outcome:
        self.machine.make_folder(f"{self.instance.run}/mariadb", owner="mysql")
        database.initialise(self.machine, self.instance)
        started = self.supervisor.start([database.service(self.instance)])
        database.wait_until_ready(self.machine, self.instance)
        loaded = database.load_schemas(self.machine, self.settings, say)
        return changed(loaded.text) if loaded.changed else _started(started, "MariaDB runs")

    def rabbitmq(self, _say: Say) -> Outcome:
        started = self.supervisor.start(messaging.services(self.instance))
        messaging.wait_until_ready()
        return _started(started, "RabbitMQ runs")

    def ovn(self, _say: Say) -> Outcome:
        ovn.create_databases(self.machine, self.instance)
        started = self.supervisor.start(ovn.services(self.instance))
        ovn.wait_until_ready(self.machine, self.instance, self.settings.host)
        return _started(started, "OVN runs")

    def libvirtd(self, _say: Say) -> Outcome:
        started = self.supervisor.start([libvirt.service(self.instance)])
        libvirt.wait_until_ready(self.machine, self.instance, new=bool(started))
        return _started(started, "libvirtd runs")

    def keystone(self, _say: Say) -> Outcome:
        identity.make_keys(self.machine, self.settings)
        # The API loads while the administrator is made: both take seconds of imports.
        started = self.supervisor.start([openstack.api_services(self.settings, self.digests)["keystone"]])
        identity.bootstrap(self.machine, self.settings)
        wait_for_api("keystone", self.settings.url("keystone"))
        return _started(started, "keystone answers")

    def apis(self, _say: Say) -> Outcome:
        names = [name for name in openstack.APIS if name != "keystone"]
        apis = openstack.api_services(self.settings, self.digests)
        started = self.supervisor.start([apis[name] for name in names])
        for name in names:
            wait_for_api(name, self.settings.url(name))
        return _started(started, f"{', '.join(names)} answer")

    def users(self, _say: Say) -> Outcome:
        return identity.register_services(self.cloud, self.settings)

    def nova(self, _say: Say) -> Outcome:
        started = self.supervisor.start(openstack.later_services(self.settings, self.digests))
        uptime = self.supervisor.states()["nova-compute"].uptime
        since = datetime.now(UTC) - timedelta(seconds=uptime + 1)
        resources.wait_for_compute(self.cloud, self.settings.host, since)
        return _started(started, "nova-compute is up")

    # network, image, flavor, servers

    def networks(self, _say: Say) -> Outcome:
        return resources.ensure_networks(self.cloud, self.site)

    def build_image(self, say: Say) -> Outcome:
        self.image = build_image(self.machine, f"{self.instance.cache}/images", say)
        size = f"{self.image.size / 2**20:.0f} MiB"
        return nothing(f"{size}, built before") if self.image.reused else changed(f"{size} built")

    def upload(self, say: Say) -> Outcome:
        return resources.ensure_image(self.machine, self.cloud, self.image, say)

    def flavors(self, _say: Say) -> Outcome:
        return resources.ensure_flavors(self.cloud, self.plan)

    def servers(self, say: Say) -> Outcome:
        def running() -> list[str]:
            return virsh(self.machine, self.instance, "list", "--name").split()

        return resources.ensure_servers(self.cloud, self.site, self.plan, self.image, running, say)

    # verify

    def verify(self, say: Say) -> Outcome:
        self.verdict = verify(
            self.machine, self.instance, self.site, self.plan, self.cloud, say, emulated=self.emulated
        )
        return self.verdict.outcome()


def _started(names: list[str], running: str) -> Outcome:
    return changed(f"started {', '.join(names)}") if names else nothing(running)
