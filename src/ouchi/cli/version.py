"""``ouchi version``."""

from __future__ import annotations

import click

from ouchi import __version__


@click.command()
def command() -> None:
    """Show the version, as --version does."""
    click.echo(f"ouchi {__version__}")
