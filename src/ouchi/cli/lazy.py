"""A group of commands whose modules are imported only when one of them runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """Commands by name: ``ouchi.cli.NAME`` has the command as ``command``, with ``_`` for ``-`` in its name.

    Help, completion and suggestions for a misspelt name come from the table alone. ``sections``: by heading the names of
    its commands and their one line of help, in the order shown.
    """

    def __init__(self, *, sections: Mapping[str, Mapping[str, str]], **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]  # handed on as they are
        self._sections = sections
        self._summaries = {name: text for section in sections.values() for name, text in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._summaries:
            return None
        from importlib import import_module

        found = import_module(f"ouchi.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(found, click.Command)  # noqa: S101  # the table and the module disagree: a bug
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self._summaries and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(name, possibilities=self._summaries, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, self._summaries))
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                # Padded, so that the columns agree from section to section.
                formatter.write_dl([(name.ljust(widest), text) for name, text in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=text) for name, text in self._summaries.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)
