"""RabbitMQ on loopback, and Erlang's port mapper (epmd) as a separate service, so that it ends with ouchi."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from ouchi.core.waiting import NotYet, wait_for
from ouchi.parts.context import Context
from ouchi.parts.daemon import Daemon, File
from ouchi.parts.part import Listener
from ouchi.parts.settings import Settings
from ouchi.parts.supervise import Service

USER = "rabbitmq"

AS_USER = (
    "/usr/bin/setpriv",
    f"--reuid={USER}",
    f"--regid={USER}",
    "--init-groups",
    "--inh-caps=-all,+net_bind_service",
    "--ambient-caps=-all,+net_bind_service",
    "--bounding-set=-all,+net_bind_service",
    "--",
)
"""The broker's user, with leave to listen on ports below 1024 (capabilities(7))."""


class RabbitMq(Daemon):
    name = "rabbitmq"
    stage = "cloud"
    on = "controller"
    ports = (
        Listener("rabbitmq", 295, "rabbitmq"),
        Listener("erlang", 296, "rabbitmq"),
        Listener("epmd", 297, "epmd"),
    )
    secrets = ("rabbitmq", "erlang_cookie")
    service_names = ("epmd", "rabbitmq")

    def files(self, at: Context) -> Mapping[str, File]:
        return files(at.settings)

    def services(self, at: Context) -> Sequence[Service]:
        return services(at.settings)

    def wait(self, at: Context, *, started: bool) -> None:
        wait_until_ready(at.settings)


def services(settings: Settings) -> tuple[Service, Service]:
    """epmd and rabbitmq-server, both bound to the controller's address."""
    instance = settings.instance
    epmd = Service(
        "epmd",
        (*AS_USER, "/usr/bin/epmd", "-address", settings.controller, "-port", str(settings.ports["epmd"])),
        instance.environment,
        stop_seconds=3,
    )
    rabbit = Service(
        "rabbitmq",
        (*AS_USER, "/usr/lib/rabbitmq/bin/rabbitmq-server"),
        # By this its script becomes the broker. Else it stays in front of it, and when it dies, the broker runs on
        # without a supervisor, holding the ports that the next one wants.
        {**instance.environment, **environment(settings), "RUNNING_UNDER_SYSTEMD": "true"},
        stop_seconds=15,
    )
    return epmd, rabbit


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment by which the broker and its command-line tools find this instance."""
    instance = settings.instance
    home = f"{instance.state}/rabbitmq"
    return {
        "HOME": home,
        "RABBITMQ_NODENAME": f"{instance.name}@localhost",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": f"{instance.etc}/rabbitmq/rabbitmq.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
        "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
        "RABBITMQ_LOG_BASE": f"{home}/log",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": f"{home}/rabbitmq.pid",
        "RABBITMQ_DIST_PORT": str(settings.ports["erlang"]),
        "ERL_EPMD_PORT": str(settings.ports["epmd"]),
        "ERL_EPMD_ADDRESS": settings.controller,
        # Erlang's schedulers spin by default; on a shared machine they should sleep. The node port stays on loopback.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }


def files(settings: Settings) -> dict[str, File]:
    """The Erlang cookie and the configuration; the user's password is set when the broker first starts."""
    home = f"{settings.instance.state}/rabbitmq"
    lines = (
        "# Written by ouchi; changes made here are lost.",
        f"listeners.tcp.local = {settings.controller}:{settings.ports['rabbitmq']}",
        "default_user = ouchi",
        f"default_pass = {settings.secrets['rabbitmq']}",
        "log.console = true",
        "log.console.level = warning",
        # The figure is for brokers that are alone; ours shares the disk with guests.
        "disk_free_limit.absolute = 50MB",
        "",
    )
    return {
        f"{home}/.erlang.cookie": File(settings.secrets["erlang_cookie"], 0o400, USER, 0o700),
        f"{home}/enabled_plugins": File("[].\n", 0o600, USER, 0o700),
        "rabbitmq/rabbitmq.conf": File("\n".join(lines), 0o600, USER, 0o700),
    }


def wait_until_ready(settings: Settings) -> None:
    """Wait until the broker answers in AMQP."""

    def probe() -> None:
        with socket.create_connection((settings.controller, settings.ports["rabbitmq"]), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            if not connection.recv(4):
                raise NotYet("the connection was closed")

    wait_for("RabbitMQ", probe, seconds=120, every=0.3, remedy="ouchi logs rabbitmq")


PARTS = (RabbitMq(),)
