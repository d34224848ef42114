"""``ouchi completion``: the script that makes a shell complete ouchi's commands."""

from __future__ import annotations

import click


@click.command(epilog='For the running bash: eval "$(ouchi completion bash)"; for good: add that line to ~/.bashrc.')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that completes ouchi's commands and options in SHELL."""
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101  # click has all three
    click.echo(completion(context.find_root().command, {}, "ouchi", "_OUCHI_COMPLETE").source())
