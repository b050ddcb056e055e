"""Command groups that import the module of a command when the command is used.

Nothing else in the program is imported lazily by name.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import click
import typer
import typer.core
from typer.core import TyperCommand, TyperGroup

# Otherwise typer imports rich for every help text, which takes longer than all other imports.
typer.core.HAS_RICH = False

VERBS = {
    "init": "Create this site's home: settings and node key.",
    "ingest": "Read and check recordings, and keep them without identifying data.",
    "validate": "Check recordings, or the whole store if no PATH is given.",
    "segment": "Cut the labelled beats for a network and select the held-out patients.",
    "dataset": "Show or remove the recordings in this site's store.",
    "join": "Take part in the federation: train here, send only weights, receive signed models.",
    "predict": "Find PVCs in recordings with the current model.",
    "evaluate": "Measure a model against reference labels by ANSI/AAMI EC57.",
    "model": "Manage the models that this site received, and the starter model.",
    "privacy": "Show the privacy budget of this site: spent, left, and for how many rounds.",
    "audit": "Show and verify the log of what this site did and sent.",
    "schedule": "Schedule a nightly join on this machine.",
    "doctor": "Check the home of a site or a coordinator without changing it.",
    "simulate": "Compare strategies on virtual sites on this machine, before hospitals take part.",
    "demo": "Run three hospitals and a coordinator on this machine, in a few minutes.",
    "coordinator": "Run the coordinator of a federation: keys, sites, rounds and models.",
}
"""Command -> the first paragraph of its help, for `ecgfl --help`.

`ecgfl_cli.commands` has a module of that name with a function `command`, or a Typer `app` with
further commands.
"""

COORDINATOR_VERBS = {
    "serve": "Serve one run of the federation, sign every model and write the run's report.",
}
"""Commands of `ecgfl coordinator` that import Flower; the module of each is `coordinator_NAME`."""

MODEL_VERBS = {
    "import": "Import a version from a file. It is verified and tested like one from the "
    "coordinator.",
}
"""Commands of `ecgfl model` that import torch; the module of each is `model_NAME`."""


class HelpGroup(TyperGroup):
    """A group whose help shows the first paragraph of each command's help in full."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands and their short help."""
        rows = [(name, _short_help(command)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class LazyGroup(HelpGroup):
    """A group that imports the module of a command when the command runs or shows its own help.

    Attributes
    ----------
    lazy
        Name of each lazy command -> the first paragraph of its help.
    prefix
        Start of the modules' names.
    """

    lazy: ClassVar[Mapping[str, str]] = VERBS
    prefix: ClassVar[str] = "ecgfl_cli.commands."

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, text in self.lazy.items():
            self.commands[name] = TyperCommand(name, help=text)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and return the command; None if there is no such command."""
        if cmd_name in self.lazy:
            return _load(f"{self.prefix}{cmd_name}", cmd_name)
        return super().get_command(ctx, cmd_name)


class CoordinatorGroup(LazyGroup):
    """The commands of `ecgfl coordinator`."""

    lazy = COORDINATOR_VERBS
    prefix = "ecgfl_cli.commands.coordinator_"


class ModelGroup(LazyGroup):
    """The commands of `ecgfl model`."""

    lazy = MODEL_VERBS
    prefix = "ecgfl_cli.commands.model_"


def _load(path: str, name: str) -> click.Command:
    module = import_module(path)
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name)
    else:
        holder.command(name)(module.command)
    return typer.main.get_group(holder).commands[name]


def _short_help(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())
