"""`ecgfl demo`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.console import console_of
from ecgfl_cli.demo.show import run_demo


def command(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A folder of labelled WFDB records. Default: synthetic ECGs."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", help="Keep the homes and results in this folder, which must be empty or new."
        ),
    ] = None,
) -> None:
    """Run three hospitals and a coordinator on this machine, in a few minutes."""
    console = console_of(context, "demo")
    console.result(**run_demo(console, data, keep))
