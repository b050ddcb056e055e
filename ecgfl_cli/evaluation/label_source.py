"""Read existing annotations, for instance those of `predict` or of a cardiologist."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecgfl_adapters.companions import link_bounds, links_within
from ecgfl_adapters.discovery import read, record_stem
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_folder import LabelFolder
from ecgfl_adapters.labels import read_labels, refuse_different
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording

from ecgfl_cli.errors import UnusableInput

WHAT_TO_GIVE = (
    "Give --test the suffix of a file beside the recording, a file, "
    "or the folder that `ecgfl predict --out` wrote"
)


def existing_labels(
    path: Path, recording: Recording, options: ReadOptions, test: str, folder: LabelFolder | None
) -> Sequence[BeatLabel]:
    """Return the annotations of a recording that `test` names, in samples of that recording.

    The recording's own adapter reads them: it knows at which rate its samples are counted.

    Parameters
    ----------
    path : the recording's file.
    recording : what it holds.
    options : for its adapter.
    test : the suffix of an annotation file beside the recording, a file, or a folder.
    folder : `test` as a folder of predictions, where it is one.

    Raises
    ------
    UnusableInput
        When there is no such file, it is broken, or two files hold different beats.
    AdapterError
        When the recording cannot be read.
    """
    stem = record_stem(path)
    try:
        if folder is not None and not stem.with_name(f"{stem.name}.{Path(test).name}").is_file():
            with links_within(
                link_bounds(
                    folder.root / stem.name, [folder.root], follow_links=options.follow_links
                )
            ):
                files = [
                    (file, read_labels(file, recording.fs, vocabulary=options.vocabulary))
                    for file in folder.files_of(path)
                ]
            refuse_different(stem, files, recording.fs)
            if not files:
                raise UnusableInput(
                    f"{path}: the folder {test} holds no prediction of it", WHAT_TO_GIVE
                )
            return files[0][1]
        labels = read(path, "auto", replace(options, labels=test, accept_predictions=True)).labels
    except LabelsUnreadable as error:
        raise UnusableInput(f"{error.path}: {error.problem}", WHAT_TO_GIVE) from error
    if labels is None:
        raise UnusableInput(f"{path}: --test {test} names no annotations", WHAT_TO_GIVE)
    return labels
