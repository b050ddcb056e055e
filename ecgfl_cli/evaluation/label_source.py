"""Annotations that are there already, for instance those that `predict` wrote or a cardiologist corrected."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel

from ecgfl_cli.errors import UnusableInput

WHAT_TO_GIVE = "Give --test the suffix of a file beside the recording, a file, or the folder that `ecgfl predict --out` wrote"


def existing_labels(path: Path, options: ReadOptions, test: str, predicted: str) -> Sequence[BeatLabel]:
    """The annotations of the recording at `path` that `test` names, in samples of that recording.

    test : the suffix of an annotation file beside the recording, a file, or a folder that holds a file called
        `predicted`.

    The recording's own adapter reads them: it knows at which rate its samples are counted. Raises `UnusableInput` when there is
    no such file or it is broken, and `AdapterError` when the recording cannot be read.
    """
    beside = Path(f"{path.with_suffix('')}.{test}")
    if not beside.is_file() and Path(test).is_dir():
        test = str(Path(test) / predicted)
    try:
        labels = read(path, "auto", replace(options, labels=test, accept_predictions=True)).labels
    except LabelsUnreadable as error:
        raise UnusableInput(f"{error.path}: {error.problem}", WHAT_TO_GIVE) from error
    if labels is None:
        raise UnusableInput(f"{path}: --test {test} names no annotations", WHAT_TO_GIVE)
    return labels
