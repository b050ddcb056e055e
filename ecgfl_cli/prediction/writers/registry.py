"""The output formats by the names used on the command line.

A new one is a file beside this and a line in here.
"""

from collections.abc import Callable
from pathlib import Path

from ecgfl_cli.errors import UsageError
from ecgfl_cli.prediction.prediction import Prediction
from ecgfl_cli.prediction.writers import csv_beats, json_summary, wfdb_annotation

Writer = Callable[[Prediction, Path], Path]
"""Writes a prediction into an existing folder, whole or not at all, and gives the file's path.

Raises `OSError`.
"""

WRITERS: dict[str, Writer] = {
    "wfdb": wfdb_annotation.write,
    "csv": csv_beats.write,
    "json": json_summary.write,
}


def writers_of(formats: str) -> list[Writer]:
    """Return the writers for names separated by commas.

    Raises
    ------
    UsageError
        There is no format of one of the names.
    """
    names = [name.strip() for name in formats.split(",")]
    unknown = [name for name in names if name not in WRITERS]
    if unknown:
        raise UsageError(
            f"--format: no output format '{unknown[0]}'",
            f"Choose from {', '.join(WRITERS)}, separated by commas",
        )
    return [WRITERS[name] for name in dict.fromkeys(names)]
