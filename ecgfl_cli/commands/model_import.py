"""`ecgfl model import`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands.acceptance import show_verdict
from ecgfl_cli.console import console_of
from ecgfl_cli.federation.site.model_import import import_model
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.site.settings import load_settings


def command(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A file that `ecgfl model export` wrote.", metavar="FILE")
    ],
) -> None:
    """Import a version from a file. It is verified and tested like one from the coordinator.

    Exit code 7 if it is not accepted.
    """
    console = console_of(context, "model-import")
    home = console.home
    home.require_site()
    with exclusive(home.lock):
        imported = import_model(home, load_settings(home.settings), file)
    code = show_verdict(console, imported.version, imported.verdict)
    console.result(code, version=imported.version, acceptance=imported.verdict.as_dict())
    raise typer.Exit(code)
