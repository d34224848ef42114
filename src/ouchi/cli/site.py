"""The option that names the site file: for the command that writes one, and for those that only read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

DEFAULT_SITE = "ouchi.yaml"
F = TypeVar("F", bound=Callable[..., Any])


def existing(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a site file that was named and is not there: only the default one may be missing.

    A misspelt name would else mean this machine, with the plan of a default site.
    """
    from click.core import ParameterSource

    from ouchi.core.errors import BadInput
    from ouchi.machine.local import LocalMachine

    named = context.get_parameter_source(parameter.name or "") in (
        ParameterSource.COMMANDLINE,
        ParameterSource.ENVIRONMENT,
    )
    if named and value and not LocalMachine().exists(value):
        raise BadInput.of(
            "there is no such site file",
            where=value,
            found="no file",
            expected=f"a site file; without --site it is {DEFAULT_SITE}, and where that is missing too, a default one",
            remedy="ouchi plan",
        )
    return value


def _named(help: str, callback: Callable[..., Any] | None = None) -> Callable[[F], F]:
    return click.option(
        "--site",
        "site_file",
        type=click.Path(dir_okay=False),
        default=DEFAULT_SITE,
        show_default=True,
        envvar="OUCHI_SITE",
        callback=callback,
        help=help,
    )


site_option = _named("The site file; written for this host when it does not exist.")
read_site_option = _named(
    "The site file; without the default one, the file that ouchi up would write is planned.", existing
)
live_site_option = click.option(
    "--site",
    "site_file",
    type=click.Path(dir_okay=False),
    envvar="OUCHI_SITE",
    callback=existing,
    help=f"The site file; by default that of the ouchi that is up on this host, else {DEFAULT_SITE}.",
)
