"""Finds the label file that belongs to a recording."""

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.companions import absence, companion, links_also_within
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_axis import TableAxis
from ecgfl_adapters.label_files import read_labels
from ecgfl_adapters.label_origin import (
    ANNOTATOR,
    MACHINE_LABELS,
    Origin,
    file_name,
    is_prediction,
    origin_of,
)
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Remark
from ecgfl_adapters.registry import annotator_suffixes, label_reader
from ecgfl_adapters.symbols import BEAT_SYMBOLS

__all__ = [
    "ANNOTATORS",
    "annotator_files",
    "label_files",
    "labels_for",
    "read_labels",
    "refuse_different",
]

LABELS_SUFFIX = ".labels.csv"
"""Suffix of a table of labels beside a recording in any format."""

ANNOTATORS = (ANNOTATOR, "atr", "labels")
"""Annotators whose files are searched in a folder of labels."""


ROUNDED_S = 0.01
"""Maximum difference in seconds between the times of one beat in two label files with the same
beats: tables often round times to 10 ms.
"""


class Labels(NamedTuple):
    """The labels of a recording.

    Parameters
    ----------
    labels : tuple of BeatLabel, optional
        None if there are none.
    origin : {"reference", "reviewer", "machine"}
        Who made them; "machine" if a prediction is left out, which `remarks` state.
    remarks : tuple of Remark
        What the user should know about them.
    """

    labels: tuple[BeatLabel, ...] | None = None
    origin: Origin = "reference"
    remarks: tuple[Remark, ...] = ()


def labels_for(
    stem: Path,
    options: ReadOptions,
    beside: Sequence[Path],
    fs: float,
    clock_fs: float | None = None,
    axis: TableAxis | None = None,
) -> Labels:
    """Return the labels that `ReadOptions.labels` asks for, and who made them.

    Predictions of this program that nobody corrected are left out: a model must not be trained on
    its own answers.

    Parameters
    ----------
    stem : Path
        The recording's path without its suffix.
    options : ReadOptions
        Its `labels` is None, "none", the suffix of an annotator ("ecgfl": STEM.ecgfl,
        STEM.ecgfl.edf or STEM.ecgfl.csv), the path of a label file, or a folder that holds one for
        some recordings. `vocabulary` and `accept_predictions` are used, too.
    beside : sequence of Path
        Files to take the labels from if `options.labels` is None.
    fs : float
        Sampling rate of the leads in hertz.
    clock_fs, axis : optional
        See `read_labels`.

    Raises
    ------
    LabelsUnreadable
        If a label file is missing or broken, or two files hold different beats.
    """
    if options.labels == "none":
        return Labels()
    if options.labels is None:
        return _labels_in(_beside(beside), stem, options, fs, clock_fs, axis)
    paths = _label_files(stem, options.labels)
    with (
        links_also_within(Path(options.labels))
        if not annotator_files(stem, options.labels)
        else nullcontext()
    ):
        return _labels_in(paths, stem, options, fs, clock_fs, axis)


def _labels_in(
    paths: Sequence[Path],
    stem: Path,
    options: ReadOptions,
    fs: float,
    clock_fs: float | None,
    axis: TableAxis | None,
) -> Labels:
    files = []
    for path in paths:
        ours = is_prediction(
            path
        )  # a prediction counts samples of the recording, whatever the table counts
        labels = read_labels(path, fs, clock_fs, options.vocabulary, None if ours else axis)
        files.append((path, labels, _origin_of(path, labels)))
    usable = [file for file in files if options.accept_predictions or file[2] != "machine"]
    if files and not usable:
        return Labels(None, "machine", (MACHINE_LABELS,))
    refuse_different(stem, [(path, labels) for path, labels, _ in usable], fs)
    return Labels(*usable[0][1:]) if usable else Labels()


def _origin_of(path: Path, labels: Sequence[BeatLabel]) -> Origin:
    origin = origin_of(path, labels)
    if origin == "machine":
        label_reader(path).check_uncorrected(path)
    return origin


def refuse_different(
    stem: Path, files: Sequence[tuple[Path, Sequence[BeatLabel]]], fs: float
) -> None:
    """Raise `LabelsUnreadable` when two label files of a recording hold different beats."""
    for (path, labels), (other, others) in pairwise(files):
        if not _agree(labels, others, fs):
            raise LabelsUnreadable(
                stem,
                f"{path} and {other} hold different beats",
                "Name the right one with --labels FILE",
            )


def _agree(labels: Sequence[BeatLabel], others: Sequence[BeatLabel], fs: float) -> bool:
    """Return whether two files hold the same beats; one of them may round times to 10 ms."""
    ours, theirs = (
        [label for label in listed if label.symbol in BEAT_SYMBOLS] for listed in (labels, others)
    )
    apart = max(1.0, ROUNDED_S * fs)
    return len(ours) == len(theirs) and all(
        one.symbol == other.symbol and abs(one.sample - other.sample) <= apart
        for one, other in zip(ours, theirs, strict=True)
    )


def _beside(names: Sequence[Path]) -> list[Path]:
    """Return those of these files that exist.

    A broken link counts, so that reading it says what is missing.
    """
    files = (companion(path, path.name) for path in names)
    return [path for path in files if path.is_file() or absence(path) is not None]


def _label_files(stem: Path, option: str) -> list[Path]:
    """Return the files that `option` may name.

    The list is empty for a folder without a file for this recording.
    """
    given = Path(option)
    annotator = annotator_files(stem, option)
    if not annotator and given.is_dir():
        return label_files(given / stem.name)
    if annotator:
        return annotator
    if given.is_file():
        return [given]
    raise LabelsUnreadable(
        stem,
        f"labels {option!r} were asked for, but neither {stem.name}.{given.name} beside it nor "
        f"{given} is a file",
        "Give an existing file with --labels FILE, or --labels none",
    )


def label_files(stem: Path, annotators: Sequence[str] = ANNOTATORS) -> list[Path]:
    """Return the files STEM.ANNOTATOR, STEM.ANNOTATOR.csv and the like that exist."""
    return [path for annotator in annotators for path in _of_annotator(stem, annotator)]


def annotator_files(stem: Path, option: str) -> list[Path]:
    """Return the files beside a recording if `option` is the suffix of an annotator, else none."""
    return [] if "/" in option or "\\" in option else _of_annotator(stem, option)


def _of_annotator(stem: Path, annotator: str) -> list[Path]:
    name = file_name(stem.name) if annotator == ANNOTATOR else stem.name
    names = (f"{name}.{annotator}{suffix}" for suffix in annotator_suffixes())
    return [path for path in (companion(stem, name) for name in names) if path.is_file()]
