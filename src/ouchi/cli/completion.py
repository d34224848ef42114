"""``ouchi completion``: the script that makes a shell complete ouchi's commands, options and their values."""

from __future__ import annotations

import click

from ouchi.cli.choice import Choice

EPILOG = """\b
For the running shell, and for good in the file named:
bash  eval "$(ouchi completion bash)"       ~/.bashrc
zsh   eval "$(ouchi completion zsh)"        ~/.zshrc, after compinit
fish  ouchi completion fish | source        ~/.config/fish/config.fish"""

TYPED = {
    "bash": ("=bash_complete $1)", '=bash_complete "${1/#\\~/$HOME}")'),
    "zsh": ("=zsh_complete %(prog_name)s)", "=zsh_complete ${~words[1]})"),
    "fish": ("(commandline -t) %(prog_name)s)", "(commandline -t) (string replace -r '^~' $HOME -- (commandline -opc)[1]))"),
}  # fmt: skip
"""By shell: the end of click's call of the program, and one of what was typed, as ``./ouchi`` is on no path."""

ON_THE_PATH = "    (( ! $+commands[%(prog_name)s] )) && return 1\n"
"""Click's zsh function ends here for a program that is on no path."""


@click.command(epilog=EPILOG)
@click.argument("shell", type=Choice(list(TYPED)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that completes commands, options and their values in SHELL, for ouchi and ./ouchi."""
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101  # click has all three
    found = completion(context.find_root().command, {}, "ouchi", "_OUCHI_COMPLETE")
    template = found.source_template.replace(ON_THE_PATH, "").replace(*TYPED[shell])
    click.echo(template % found.source_vars())
