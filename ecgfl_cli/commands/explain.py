"""`ecgfl ingest --explain`: how tables of numbers are read, without ingesting them."""

from pathlib import Path
from typing import Any

import typer
from ecgfl_adapters.discovery import adapter_for
from ecgfl_adapters.errors import FormatUnknown
from ecgfl_adapters.tables.adapter import CsvAdapter
from ecgfl_adapters.tables.explain import Explanation, explain

from ecgfl_cli.commands.reading import reading_of
from ecgfl_cli.commands.recordings import named_recordings
from ecgfl_cli.console import Console
from ecgfl_cli.errors import ExitCode, UsageError


def show_explanations(
    console: Console, paths: list[Path], file_format: str, lead: str | None, **options: Any
) -> None:
    """Show the explanation of each table, and exit.

    Raises
    ------
    UsageError
        A file is not a table.
    typer.Exit
        Always, with exit code 3 if a table cannot be read.
    """
    reading = reading_of(console, file_format, lead, **options)
    explanations: list[Explanation] = []
    for path in named_recordings(console, paths, follow_links=reading.options.follow_links):
        try:
            name = adapter_for(path, file_format).name
        except FormatUnknown:
            if not path.is_file():
                raise
            name = CsvAdapter.name  # to show why it is not taken for a table
        if name != CsvAdapter.name:
            raise UsageError(
                f"{path} is read as {name}: --explain shows how tables of numbers are read",
                "Give CSV files with it",
            )
        explanations.append(explain(path, reading.options))
    for explanation in explanations:
        rows = [(note.what, note.value, note.why) for note in explanation.understood]
        console.table(str(explanation.path), ("what ", "value ", "why "), rows)
        console.block(
            "\nFor site.toml, if other files are to be read like this one:\n\n"
            f"{explanation.layout}\n"
        )
        if explanation.error is not None:
            console.problem(str(explanation.error))
    failed = any(explanation.error is not None for explanation in explanations)
    code = ExitCode.INPUT if failed else ExitCode.DONE
    console.result(
        code,
        explanations=[
            {
                "file": explanation.path,
                "understood": [
                    {"what": note.what, "value": note.value, "why": note.why}
                    for note in explanation.understood
                ],
                "layout": explanation.layout,
                "error": None
                if explanation.error is None
                else {"problem": explanation.error.problem, "fix": explanation.error.fix},
            }
            for explanation in explanations
        ],
    )
    raise typer.Exit(code)
