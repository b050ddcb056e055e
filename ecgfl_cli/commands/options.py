"""Option types that several commands share."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from ecgfl_adapters.registry import adapters

from ecgfl_cli.models.architecture import names
from ecgfl_cli.times import seconds_of


def duration(text: str) -> float:
    """Return the seconds of a duration such as "90", "90s", "15m", "2h" or "1d"."""
    try:
        return seconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def positive(value: float | None) -> float | None:
    """Check an optional number: finite and above 0."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a finite number above 0")
    return value


def _choice_of(known: Callable[[], tuple[str, ...]]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in known():
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known())}")
        return value

    return check


def _formats() -> tuple[str, ...]:

    return ("auto", *adapters())


def _architectures() -> tuple[str, ...]:

    return names()


def known_architecture(value: str | None) -> str | None:
    """Check an optional name of an architecture."""
    return None if value is None else _choice_of(_architectures)(value)


_INPUT_FORMAT = "auto, wfdb, edf, csv, or an installed adapter's name."
InputFormat = Annotated[
    str,
    typer.Option("--format", "--input-format", help=_INPUT_FORMAT, callback=_choice_of(_formats)),
]
OnlyInputFormat = Annotated[
    str, typer.Option("--input-format", help=_INPUT_FORMAT, callback=_choice_of(_formats))
]
"""For commands whose --format is the format of the results."""
Lead = Annotated[
    str | None,
    typer.Option(
        "--lead", help="Lead to use. Default: lead II, or the first lead if there is no lead II."
    ),
]
SamplingRate = Annotated[
    float | None,
    typer.Option(
        "--fs",
        min=1,
        max=100_000,
        help=(
            "Sampling rate in Hz, for files that do not state one. A file that states another rate "
            "is refused."
        ),
    ),
]
Units = Annotated[
    str | None,
    typer.Option(
        "--units",
        help=(
            "Unit to use instead of the files' own: mV, uV, V or nV; or adc:GAIN[:BASELINE] for "
            "files without a unit."
        ),
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        help="A label file, a folder of label files, a WFDB annotator's suffix (atr), or none.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Number of processes.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also read recordings whose checksum is wrong.")
]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Also follow links that lead out of a folder.")
]
ForceOver = Annotated[
    bool,
    typer.Option(
        "--force",
        help=(
            "Also read recordings whose checksum is wrong, and overwrite results that were changed."
        ),
    ),
]
Explain = Annotated[
    bool,
    typer.Option("--explain", help="Only show how CSV files are read, and why. Nothing is kept."),
]
Patient = Annotated[
    str,
    typer.Option(
        "--patient",
        help="What identifies the patient: auto (the identifier in the file; without one, each "
        "file is a patient), file, folder (all files in a folder; folder:2 is the folder above "
        "it), or name (files with the same name, in any folder).",
        metavar="RULE",
    ),
]
Recordings = Annotated[
    list[Path], typer.Argument(help="Recordings or folders of recordings.", metavar="PATH...")
]
ArchitectureName = Annotated[
    str, typer.Option("--arch", help="Network architecture.", callback=_choice_of(_architectures))
]
LocalEpochs = Annotated[
    int | None,
    typer.Option(
        "--local-epochs",
        min=1,
        help="Epochs of each local round. Default: that of the architecture.",
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--learning-rate",
        help="Learning rate of the first round. Default: that of the architecture.",
        callback=positive,
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Model version. Default: the current one.", metavar="VERSION"),
]
Encrypt = Annotated[
    bool,
    typer.Option(
        "--encrypt", help="Encrypt the private keys with the passphrase from --passphrase-fd."
    ),
]
