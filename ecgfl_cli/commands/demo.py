"""`ecgfl demo`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.console import console_of


def command(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="A folder of labelled WFDB records; without it synthetic ECGs."
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Leave the three hospitals in this empty folder.")
    ] = None,
) -> None:
    """Three hospitals, one coordinator, one shared model, on this machine, in a few minutes."""
    from ecgfl_cli.demo.show import show

    console = console_of(context, "demo")
    console.result(**show(console, data, keep))
