"""The root command. It imports the module of a command when that command is used."""

import re
from importlib import import_module
from typing import Any

import click
import typer
from typer.core import TyperCommand, TyperGroup

VERBS = {
    "init": "Create this site's home: settings and node key.",
    "ingest": "Read and check recordings, and keep them without identifying data.",
    "validate": "Check recordings, or the whole store if no PATH is given.",
    "segment": "Cut the labelled beats for a network and decide which patients are held out.",
    "dataset": "Show or remove the recordings in this site's store.",
    "join": "Take part in the federation: train here, send only weights, receive signed models.",
    "predict": "Find PVCs in recordings with the current model.",
    "evaluate": "Measure a model against reference labels by ANSI/AAMI EC57.",
    "model": "Manage the models that this site received, and the starter model.",
    "audit": "Show and verify the log of what this site did and sent.",
    "schedule": "Let this machine join the federation every night.",
    "doctor": "Check the home of a site or a coordinator without changing it.",
    "simulate": "Compare strategies on virtual sites on this machine, before hospitals take part.",
    "demo": "Run three hospitals and a coordinator on this machine, in a few minutes.",
    "coordinator": "Run the coordinator of a federation: keys, sites, rounds and models.",
}
"""Command -> the first paragraph of its help, for `ecgfl --help`.

`ecgfl_cli.commands` has a module of that name with a function `command`, or a Typer `app` with
further commands.
"""


class LazyGroup(TyperGroup):
    """A group that imports the module of a command when the command runs or shows its own help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=text) for name, text in VERBS.items()}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command's module and return the command; None if there is no such command."""
        return _load(cmd_name) if cmd_name in VERBS else None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help from the short help of each command. No command is imported."""
        group = TyperGroup(
            name=self.name,
            commands=dict(self.commands),
            params=self.params,
            help=self.help,
            rich_markup_mode=self.rich_markup_mode,
        )
        group.format_help(ctx, formatter)


def _load(name: str) -> click.Command:
    module = import_module(f"ecgfl_cli.commands.{name}")
    holder = typer.Typer(add_completion=False, rich_markup_mode="rich")
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name)
    else:
        holder.command(name)(module.command)
    command = typer.main.get_group(holder).commands[name]
    escape_help(command)
    return command


def escape_help(command: click.Command) -> None:
    """Escape square brackets in a command's help texts; rich would read them as markup."""
    for item in (command, *command.params):
        if text := getattr(item, "help", None):
            setattr(item, "help", re.sub(r"\[(?=[a-z#/@])", r"\\[", text))  # noqa: B010 - some parameters have no `help`
    if isinstance(command, click.Group):
        for sub in command.commands.values():
            escape_help(sub)
