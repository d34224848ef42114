"""``ouchi metrics``."""

from __future__ import annotations

import signal
from typing import NoReturn

import click

from ouchi.cli.output import echo
from ouchi.cli.site import DEFAULT_SITE, live_site_option

DEFAULT = "127.0.0.1:9779"


@click.command()
@click.option("--listen", default=DEFAULT, show_default=True, metavar="ADDRESS:PORT", help="Where to serve /metrics.")
@click.option("--once", is_flag=True, help="Print them once instead, for node_exporter's textfile collector.")
@live_site_option
def command(listen: str, once: bool, site_file: str | None) -> None:
    """Serve this host's state to Prometheus: checks, PMD threads, ports, hugepages, guests.

    Each scrape reads the host and evaluates the checks of ouchi doctor; scrapes at the same time share a reading.
    Nothing is changed. Ends with Ctrl-C, or SIGTERM.

    Exit status: 0 ended by SIGTERM, 2 bad address or no plan, 130 Ctrl-C.
    """
    from ouchi.flows.metrics_server import parse_listen

    address = parse_listen(listen)
    from ouchi.machine.privilege import need_root

    need_root()
    from ouchi.cli.doctor import of_site
    from ouchi.cli.hosted import local_host
    from ouchi.core.errors import Failed
    from ouchi.core.instance import Instance
    from ouchi.flows.metrics import WAIT_SECONDS, Shared, read_host
    from ouchi.flows.metrics_server import MetricsServer, is_loopback, url
    from ouchi.machine.local import LocalMachine
    from ouchi.report.metrics import metrics_text

    hosts, target_of = of_site(site_file, (), None)
    host = local_host(hosts, site_file or DEFAULT_SITE)
    target_of(host)  # a site that cannot be planned is reported now
    machine, instance = LocalMachine(), Instance()
    shared = Shared(lambda: read_host(machine, instance, lambda: target_of(host)))
    if once:
        try:
            content, _ = metrics_text(shared.get(WAIT_SECONDS * 2))
        except TimeoutError:
            raise Failed.of("the host could not be read in time", remedy="ouchi doctor") from None
        click.echo(content.decode(), nl=False)
        return
    with MetricsServer(address, lambda accept: metrics_text(shared.get(WAIT_SECONDS), accept)) as server:
        signal.signal(signal.SIGTERM, _end)
        try:
            echo(f"serving {url(server.server_address)}; end with Ctrl-C", err=True)
            if not is_loopback(address[0]):
                click.echo("note: without a password, to every host that reaches this address", err=True)
            server.serve_forever()
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            shared.close()
            machine.interrupt()


def _end(_number: int, _frame: object) -> NoReturn:
    raise click.exceptions.Exit(0)
