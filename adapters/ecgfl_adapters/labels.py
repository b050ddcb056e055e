"""Which label file belongs to a recording."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.companions import absence, companion
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_axis import TableAxis
from ecgfl_adapters.label_files import read_labels
from ecgfl_adapters.label_origin import ANNOTATOR, MACHINE_LABELS, Origin, is_prediction, origin_of
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Remark
from ecgfl_adapters.symbols import BEAT_SYMBOLS

__all__ = ["labels_for", "read_labels"]

ANNOTATORS = (ANNOTATOR, "atr", "labels")
"""Whose files are looked for in a folder of labels."""


class Labels(NamedTuple):
    """labels : None without any. origin : who made them; "machine" where a prediction is left out, which `remarks` tell."""

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
    """The labels that `ReadOptions.labels` asks for, and who made them.

    Predictions of this program that nobody corrected are left out: a model must not be trained on its own answers.

    Parameters
    ----------
    stem : the recording's path without its suffix.
    options : `labels` is None, "none", the suffix of an annotator ("ecgfl": STEM.ecgfl, STEM.ecgfl.edf or STEM.ecgfl.csv), the
        path of a label file, or a folder that holds one for some recordings; `vocabulary` for their words.
    beside : files to take the labels from when `options.labels` is None.
    fs, clock_fs, axis : as for `read_labels`.

    Raises `LabelsUnreadable`, also where two files hold different beats.
    """
    if options.labels == "none":
        return Labels()
    paths = _label_files(stem, options.labels) if options.labels is not None else _beside(beside)
    files = []
    for path in paths:
        ours = is_prediction(path, stem)  # counts samples of the recording, whatever its table counts
        labels = read_labels(path, fs, clock_fs, options.vocabulary, None if ours else axis)
        files.append((path, labels, origin_of(path, stem, labels)))
    if not files:
        return Labels()
    made_by_people = [file for file in files if file[2] != "machine"]
    if not made_by_people and not options.accept_predictions:
        return Labels(None, "machine", (MACHINE_LABELS,))
    (path, labels, origin), *rest = made_by_people or files
    for other, others, _ in rest:
        if _beats(others) != _beats(labels):
            raise LabelsUnreadable(
                stem, f"{path.name} and {other.name} hold different beats", "Name the right one with --labels FILE"
            )
    return Labels(labels, origin)


def _beats(labels: Sequence[BeatLabel]) -> list[BeatLabel]:
    return [label for label in labels if label.symbol in BEAT_SYMBOLS]


def _beside(names: Sequence[Path]) -> list[Path]:
    """Those of these files that are there; a broken link is, too, so that reading it says what is missing."""
    files = (companion(path, path.name) for path in names)
    return [path for path in files if path.is_file() or absence(path) is not None]


def _label_files(stem: Path, option: str) -> list[Path]:
    """Return the files that `option` may refer to; None if it is a folder without a file for this recording."""
    given = Path(option)
    annotator = _of_annotator(stem, option) if "/" not in option and "\\" not in option else []
    if not annotator and given.is_dir():
        return [found for annotator in ANNOTATORS for found in _of_annotator(given / stem.name, annotator)]
    if annotator:
        return annotator
    if given.is_file():
        return [given]
    raise LabelsUnreadable(
        stem,
        f"labels {option!r} were asked for, but neither {stem.name}.{given.name} beside it nor {given} is a file",
        "Give an existing file with --labels FILE, or --labels none",
    )


def _of_annotator(stem: Path, annotator: str) -> list[Path]:
    names = (f"{stem.name}.{annotator}{suffix}" for suffix in ("", ".edf", ".csv"))
    return [path for path in (companion(stem, name) for name in names) if path.is_file()]


def is_annotator_edf(path: Path) -> bool:
    """Whether it is NAME.ANNOTATOR.edf beside a recording of that name: its labels, as an EDF viewer saves them."""
    name, dot, annotator = path.stem.rpartition(".")
    if path.suffix.lower() not in {".edf", ".bdf"} or not dot or annotator not in ANNOTATORS:
        return False
    return any(path.with_name(f"{name}{suffix}").is_file() for suffix in (".hea", ".edf", ".bdf", ".csv"))
