"""Which label file belongs to a recording."""

from collections.abc import Sequence
from pathlib import Path

from ecgfl_adapters.companions import absence, companion
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_axis import TableAxis
from ecgfl_adapters.label_files import read_labels
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel

__all__ = ["labels_for", "read_labels"]

ANNOTATORS = ("ecgfl", "atr", "labels")
"""Whose files are looked for in a folder of labels."""


def labels_for(
    stem: Path,
    options: ReadOptions,
    beside: Sequence[Path],
    fs: float,
    clock_fs: float | None = None,
    axis: TableAxis | None = None,
) -> tuple[BeatLabel, ...] | None:
    """The labels that `ReadOptions.labels` asks for.

    Parameters
    ----------
    stem : the recording's path without its suffix.
    options : `labels` is None, "none", the suffix of an annotator ("ecgfl": STEM.ecgfl, STEM.ecgfl.edf or STEM.ecgfl.csv), the
        path of a label file, or a folder that holds one for some recordings; `vocabulary` for their words.
    beside : files to take the labels from, the first that exists, when `options.labels` is None.
    fs, clock_fs, axis : as for `read_labels`.

    Raises `LabelsUnreadable`.
    """
    if options.labels == "none":
        return None
    path = _label_file(stem, options.labels) if options.labels is not None else _beside(beside)
    return None if path is None else read_labels(path, fs, clock_fs, options.vocabulary, axis)


def _beside(names: Sequence[Path]) -> Path | None:
    """The first of these files that is there; a broken link is, too, so that reading it says what is missing."""
    files = (companion(path, path.name) for path in names)
    return next((path for path in files if path.is_file() or absence(path) is not None), None)


def _label_file(stem: Path, option: str) -> Path | None:
    """The file that `option` names. None where it is a folder without a file for this recording."""
    given = Path(option)
    annotator = _of_annotator(stem, option) if "/" not in option and "\\" not in option else []
    if not annotator and given.is_dir():
        annotators = [found for annotator in ANNOTATORS for found in _of_annotator(given / stem.name, annotator)]
        return _only(annotators, stem, option)
    found = _only(annotator, stem, option) or (given if given.is_file() else None)
    if found is None:
        raise LabelsUnreadable(
            stem,
            f"labels {option!r} were asked for, but neither {stem.name}.{given.name} beside it nor {given} is a file",
            "Give an existing file with --labels FILE, or --labels none",
        )
    return found


def _of_annotator(stem: Path, annotator: str) -> list[Path]:
    """What may be meant. A CSV beside annotations is the one that `predict` writes with them: these are what is corrected."""
    names = (f"{stem.name}.{annotator}{suffix}" for suffix in ("", ".edf", ".csv"))
    found = [path for path in (companion(stem, name) for name in names) if path.is_file()]
    return found[:-1] if len(found) > 1 and found[-1].suffix == ".csv" else found


def _only(found: list[Path], stem: Path, option: str) -> Path | None:
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise LabelsUnreadable(stem, f"labels {option!r} may be any of {names}", "Name the file itself with --labels FILE")
    return found[0] if found else None


def is_annotator_edf(path: Path) -> bool:
    """Whether it is NAME.ANNOTATOR.edf beside a recording of that name: its labels, as an EDF viewer saves them."""
    name, dot, annotator = path.stem.rpartition(".")
    if path.suffix.lower() not in {".edf", ".bdf"} or not dot or annotator not in ANNOTATORS:
        return False
    return any(path.with_name(f"{name}{suffix}").is_file() for suffix in (".hea", ".edf", ".bdf", ".csv"))
