"""The option that names the site file: for the command that writes one, and for those that only read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

DEFAULT_SITE = "ouchi.yaml"
F = TypeVar("F", bound=Callable[..., Any])


def _named(help: str) -> Callable[[F], F]:
    return click.option(
        "--site",
        "site_file",
        type=click.Path(dir_okay=False),
        default=DEFAULT_SITE,
        show_default=True,
        envvar="OUCHI_SITE",
        help=help,
    )


site_option = _named("The site file; written for this host when it does not exist.")
read_site_option = _named("The site file; without one, the file that ouchi up would write is planned.")
