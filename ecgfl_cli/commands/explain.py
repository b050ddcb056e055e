"""`ecgfl ingest --explain`: how tables of numbers are read, without ingesting them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ecgfl_cli.commands import library
from ecgfl_cli.commands.reading import reading_of
from ecgfl_cli.commands.recordings import named_recordings
from ecgfl_cli.console import Console
from ecgfl_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ecgfl_adapters.csv_explain import Explanation


def show_explanations(
    console: Console, paths: list[Path], file_format: str, lead: str | None, **options: Any
) -> None:
    """Show each table's explanation and exit.

    Raises
    ------
    UsageError
        A file is not a table.
    typer.Exit
        Always, with exit code 3 if a table cannot be read.
    """
    reading = reading_of(console, file_format, lead, **options)
    found: list[Explanation] = []
    for path in named_recordings(console, paths, follow_links=reading.options.follow_links):
        try:
            name = library.adapter_for(path, file_format).name
        except library.FormatUnknown:
            if not path.is_file():
                raise
            name = library.CsvAdapter.name  # to show why it is not taken for a table
        if name != library.CsvAdapter.name:
            raise UsageError(
                f"{path} is read as {name}: --explain shows how tables of numbers are read",
                "Give CSV files with it",
            )
        found.append(library.explain(path, reading.options))
    for each in found:
        rows = [(note.what, note.value, note.why) for note in each.understood]
        console.table(str(each.path), ("what ", "value ", "why "), rows)
        console.block(
            f"\nFor site.toml, where other files are to be read like this one:\n\n{each.layout}\n"
        )
        if each.error is not None:
            console.problem(str(each.error))
    code = ExitCode.INPUT if any(each.error is not None for each in found) else ExitCode.DONE
    console.result(
        code,
        explanations=[
            {
                "file": each.path,
                "understood": [
                    {"what": note.what, "value": note.value, "why": note.why}
                    for note in each.understood
                ],
                "layout": each.layout,
                "error": None
                if each.error is None
                else {"problem": each.error.problem, "fix": each.error.fix},
            }
            for each in found
        ],
    )
    raise typer.Exit(code)
