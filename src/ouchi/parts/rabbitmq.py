"""RabbitMQ on loopback, and the port mapper that Erlang wants, as a program of its own so that it ends with us."""

from __future__ import annotations

import socket

from ouchi.core.instance import Instance
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.parts.settings import PORTS, Settings
from ouchi.parts.supervise import Service

USER = "rabbitmq"


def services(instance: Instance) -> tuple[Service, Service]:
    """epmd and rabbitmq-server, both bound to loopback."""
    epmd = Service(
        "epmd",
        ("/usr/bin/epmd", "-address", "127.0.0.1", "-port", str(PORTS["epmd"])),
        instance.environment,
        user=USER,
        stop_seconds=3,
    )
    rabbit = Service(
        "rabbitmq",
        ("/usr/lib/rabbitmq/bin/rabbitmq-server",),
        # By this its script becomes the broker. Else it stays in front of it, and when it dies, the broker runs on
        # without a supervisor, holding the ports that the next one wants.
        {**instance.environment, **environment(instance), "RUNNING_UNDER_SYSTEMD": "true"},
        user=USER,
        stop_seconds=15,
    )
    return epmd, rabbit


def environment(instance: Instance) -> dict[str, str]:
    """What the broker and its command-line tools find this instance by."""
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
        "RABBITMQ_DIST_PORT": str(PORTS["erlang"]),
        "ERL_EPMD_PORT": str(PORTS["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # Erlang's schedulers spin by default; on a shared machine they should sleep. The node port stays on loopback.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }


def prepare(machine: Machine, settings: Settings) -> None:
    """Folders, the Erlang cookie and the configuration; the user's password is set when the broker first starts."""
    instance = settings.instance
    home = f"{instance.state}/rabbitmq"
    machine.make_folder(home, mode=0o700, owner=USER)
    machine.write(f"{home}/.erlang.cookie", settings.secrets["erlang_cookie"], mode=0o400, owner=USER)
    machine.write(f"{home}/enabled_plugins", "[].\n", mode=0o600, owner=USER)
    machine.make_folder(f"{instance.etc}/rabbitmq", mode=0o700, owner=USER)
    machine.write(
        f"{instance.etc}/rabbitmq/rabbitmq.conf",
        "\n".join(
            (
                "# Written by ouchi; changes made here are lost.",
                f"listeners.tcp.local = 127.0.0.1:{PORTS['rabbitmq']}",
                "default_user = ouchi",
                f"default_pass = {settings.secrets['rabbitmq']}",
                "log.console = true",
                "log.console.level = warning",
                # The figure is for brokers that are alone; ours shares the disk with guests.
                "disk_free_limit.absolute = 50MB",
                "",
            )
        ),
        mode=0o600,
        owner=USER,
    )


def wait_until_ready() -> None:
    """Wait until the broker answers in AMQP."""

    def probe() -> None:
        with socket.create_connection(("127.0.0.1", PORTS["rabbitmq"]), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            if not connection.recv(4):
                raise NotYet("the connection was closed")

    wait_for("RabbitMQ", probe, seconds=120, every=0.3, remedy="ouchi logs rabbitmq")
