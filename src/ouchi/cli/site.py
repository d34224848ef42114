"""The option that names the site file."""

from __future__ import annotations

import click

DEFAULT_SITE = "ouchi.yaml"

site_option = click.option(
    "--site",
    "site_file",
    type=click.Path(dir_okay=False),
    default=DEFAULT_SITE,
    show_default=True,
    envvar="OUCHI_SITE",
    help="The site file; written for this machine when it is not there.",
)
