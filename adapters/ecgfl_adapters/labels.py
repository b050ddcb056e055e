"""Which label file belongs to a recording."""

from collections.abc import Sequence
from pathlib import Path

from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_files import read_labels
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel

__all__ = ["labels_for", "read_labels"]


def labels_for(
    stem: Path, options: ReadOptions, beside: Sequence[Path], fs: float, clock_fs: float | None = None
) -> tuple[BeatLabel, ...] | None:
    """The labels that `ReadOptions.labels` asks for.

    Parameters
    ----------
    stem : the recording's path without its suffix.
    options : `labels` is None, "none", the suffix of an annotator or the path of a label file; `vocabulary` for their words.
    beside : files to take the labels from, the first that exists, when `options.labels` is None.
    fs, clock_fs : as for `read_labels`.

    Raises `LabelsUnreadable`.
    """
    option = options.labels

    def read(path: Path) -> tuple[BeatLabel, ...]:
        return read_labels(path, fs, clock_fs, options.vocabulary)

    if option is None:
        found = next((path for path in beside if path.is_file()), None)
        return None if found is None else read(found)
    if option == "none":
        return None
    annotator = stem.with_name(f"{stem.name}.{option}") if "/" not in option and "\\" not in option else None
    if annotator is not None and annotator.is_file():
        return read(annotator)
    given = Path(option)
    if given.is_file():
        return read(given)
    sought = f"neither {annotator} nor {given} is a file" if annotator is not None else f"{given} is not a file"
    raise LabelsUnreadable(
        stem, f"labels {option!r} were asked for, but {sought}", "Give an existing file with --labels FILE, or --labels none"
    )
