"""Values of options and arguments: the nearest one for a misspelt one, and the names that a shell completes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ouchi.site import Site

    Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


class Choice(click.Choice[Any]):
    """One of several texts. A message about another one names the nearest."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        message = super().get_invalid_choice_message(value, ctx)
        found = nearest(str(value), map(str, self.choices))
        return f"{message} Did you mean {found!r}?" if found else message


def nearest(value: str, known: Iterable[str]) -> str:
    """The known name that a misspelt or shortened one most likely means; empty when none is near."""
    from difflib import get_close_matches

    names = list(known)
    begun = [name for name in names if value and name.startswith(value)]
    return next(iter([*begun, *get_close_matches(value, names, 1)]), "")


def completing(names: Callable[[click.Context], Iterable[str]]) -> Complete:
    """Complete the names that a function finds; what it cannot read completes nothing."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        from ouchi.core.errors import OuchiError

        try:
            return [CompletionItem(name) for name in names(context) if name.startswith(incomplete)]
        except (OuchiError, OSError):
            return []

    return complete


def host_names(context: click.Context) -> Iterable[str]:
    """The hosts of the site file on the command line."""
    return [site.name for site in _sites(context)]


def server_names(context: click.Context) -> Iterable[str]:
    """The servers of the site file that is in use on this host."""
    return [server.name for site in _sites(context) for server in site.servers]


def _sites(context: click.Context) -> tuple[Site, ...]:
    import os

    from ouchi.cli.site import DEFAULT_SITE
    from ouchi.core.instance import Instance
    from ouchi.flows.doctor import site_in_use
    from ouchi.machine.local import LocalMachine
    from ouchi.site import read_sites

    machine = LocalMachine()
    named = context.params.get("site_file") or os.environ.get("OUCHI_SITE")
    return read_sites(machine, named or site_in_use(machine, Instance()) or DEFAULT_SITE)
