"""``ouchi help``."""

from __future__ import annotations

import click

from ouchi.cli.choice import completing


def _commands(context: click.Context) -> list[str]:
    root = context.find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101  # a type, for the checker
    return root.command.list_commands(root)


@click.command()
@click.argument("words", nargs=-1, metavar="[COMMAND]", shell_complete=completing(_commands))
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of ouchi or of a command."""
    about = context.find_root()
    for word in words:
        if not isinstance(about.command, click.Group):
            raise click.UsageError(f"{about.info_name} has no commands", about)
        name, found, _ = about.command.resolve_command(about, [word])
        assert found is not None  # noqa: S101  # resolve_command raises for unknown names
        about = click.Context(found, about, name)
    click.echo(about.get_help())
