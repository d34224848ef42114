"""The context of parts: a machine, an instance on it, and the target of this host."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from ouchi.clients.openstack import Access, Cloud
from ouchi.core.errors import Failed, OuchiError
from ouchi.core.instance import Instance
from ouchi.live import kvm
from ouchi.machine import Machine, processes
from ouchi.machine.reserved_ports import unreserved
from ouchi.parts import registry
from ouchi.parts.secrets import read_secrets
from ouchi.parts.settings import CONTROLLER, Settings
from ouchi.parts.supervise import ServiceState, ServiceStatus, Supervisor
from ouchi.parts.supervise.choose import choose_supervisor
from ouchi.plan.target import Target
from ouchi.steps.journal import Journal, Scope, open_journal
from ouchi.vnf.images.small import Image, planned_image

CLOUD_SECONDS = 60.0
"""How long an API may take for each answer while something is made."""


@dataclass
class Context:
    """One host, as its parts see it.

    ``planned`` is its target as far as there is one: it is replaced when the plan is made anew, and removing needs none.
    ``seconds``: how long an OpenStack API may take for each answer.
    """

    machine: Machine
    instance: Instance
    planned: Target | None = None
    seconds: float = CLOUD_SECONDS
    image: Image | None = field(default=None, init=False)
    """The guest image, once it is built."""
    chosen: Supervisor | None = None
    """A supervisor other than the machine's own."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @cached_property
    def supervisor(self) -> Supervisor:
        """The supervisor of the services: systemd or supervisord."""
        return self.chosen or choose_supervisor(self.machine, self.instance)

    @cached_property
    def journal(self) -> Journal:
        """The journal of this instance's changes, with the previous states."""
        return open_journal(self.machine, self.instance, Scope.SESSION)

    @property
    def target(self) -> Target:
        """The target of this host. Raises :class:`ValueError` before there is a plan."""
        if self.planned is None:
            raise ValueError("this needs a plan, and there is none yet")
        return self.planned

    @property
    def secrets(self) -> Mapping[str, str]:
        """The instance's passwords as far as they are made."""
        return read_secrets(self.machine, self.instance)

    @property
    def settings(self) -> Settings:
        """The values from which configuration files are generated."""
        target = self.target
        return Settings(
            instance=self.instance,
            secrets=self.secrets,
            ports=registry.ports(),
            host=target.facts.system.hostname,
            nova=target.plan.nova,
            physnets=tuple(target.bridges),
            mtu=max((network.mtu for network in target.site.networks), default=1500),
            emulated=kvm.known(self.machine, self.instance) is False,
        )

    @property
    def images(self) -> str:
        """The folder of guest images."""
        return f"{self.instance.cache}/images"

    @cached_property
    def planned_image(self) -> Image | None:
        """The guest image that the host's packages give, built or not; None while some are missing."""
        try:
            return planned_image(self.machine, self.images)
        except OuchiError:
            return None

    @cached_property
    def qemu_version(self) -> tuple[int, ...]:
        """The version of the QEMU that runs the guests."""
        return kvm.qemu_version(self.machine)

    @property
    def cloud(self) -> Cloud:
        """OpenStack's APIs, as the administrator; one token for all threads.

        Raises :class:`Failed` where other users could listen on their ports.
        """
        with self._lock:
            return self._cloud

    @cached_property
    def _cloud(self) -> Cloud:
        if findings := unreserved(self.machine):
            raise Failed(findings)
        ports = registry.ports()
        urls = {
            name: f"http://{CONTROLLER}:{ports[name]}{endpoint.version}"
            for name, endpoint in registry.endpoints().items()
        }
        return Cloud(Access(urls, self.secrets.get("admin", "")), self.seconds)

    def authenticate_early(self) -> None:
        """Get the token of :attr:`cloud` in the background, for a command that needs it soon: keystone takes 0.4 s.

        A failure is left to the first part that needs the token.
        """

        def authenticate() -> None:
            with suppress(Exception):
                self.cloud.authenticate()

        threading.Thread(target=authenticate, daemon=True).start()

    @cached_property
    def states(self) -> Mapping[str, ServiceState]:
        """The supervised services as they were when first asked for."""
        return self.supervisor.states()

    @cached_property
    def running(self) -> frozenset[str]:
        """The services that had a process when first asked for, be it without a supervisor."""
        strays = {process.service for process in processes.marked(self.instance.name)}
        active = (ServiceStatus.RUNNING, ServiceStatus.STARTING)
        return frozenset(strays | {name for name, state in self.states.items() if state.status in active})

    def path(self, name: str) -> str:
        """A configuration file's path, by its name below the instance's ``etc``; an absolute one is its own."""
        return name if name.startswith("/") else f"{self.instance.etc}/{name}"
