"""Reads a label file with the adapter of its format."""

from collections.abc import Mapping
from pathlib import Path

from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.companions import absence, content_of
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_axis import TableAxis
from ecgfl_adapters.protocol import LabelRequest
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.registry import label_reader
from ecgfl_adapters.symbols import NO_WORDS

LARGEST_LABELS = 1 << 26
"""Largest size of a label file in bytes; it is read whole."""

MOST_LABELS = 4_000_000
"""Largest number of labels in a file: 14 days at 198 beats per minute.

Each takes about 200 bytes of memory.
"""


def read_labels(
    path: Path,
    fs: float,
    clock_fs: float | None = None,
    vocabulary: Mapping[str, str] = NO_WORDS,
    axis: TableAxis | None = None,
) -> tuple[BeatLabel, ...]:
    """Read a label file with the adapter that reads files of its suffix.

    Parameters
    ----------
    path : Path
        A WFDB annotation file, text with the suffix .csv, .txt or .tsv, an EDF+ file with
        annotations, or a label file of another registered format.
    fs : float
        Sampling rate of the leads in hertz, to which sample numbers are brought.
    clock_fs : float, optional
        Rate in hertz at which an annotation file that does not state a rate counts its samples.
        Default: `fs`.
    vocabulary : mapping of str to str, optional
        A site's own words for beats, to WFDB symbols.
    axis : TableAxis, optional
        Axis of the table that the labels belong to, if its times do not begin at 0 or rows are
        missing.

    Returns
    -------
    tuple of BeatLabel
        All annotations, beats and others, in order of their samples.

    Raises
    ------
    LabelsUnreadable
        If the file is missing, cut off or not understood.
    """
    absent = absence(path)
    if absent is not None:
        raise LabelsUnreadable(
            path,
            f"label file {absent.problem}",
            f"{absent.fix}; --labels none reads the recording without labels",
        )
    return label_reader(path).read_labels(path, LabelRequest(fs, clock_fs, vocabulary, axis))


def label_bytes(path: Path) -> bytes:
    """Return the content of a label file.

    Raises
    ------
    LabelsUnreadable
        If it cannot be read or is too large.
    """
    try:
        return read_bounded(content_of(path), LARGEST_LABELS)
    except OSError as error:
        raise LabelsUnreadable(
            path,
            f"label file cannot be read ({error.strerror})",
            "Check the path given with --labels; --labels none reads the recording without labels",
        ) from error


def check_label_count(path: Path, count: int) -> None:
    """Raise `LabelsUnreadable` for a file with more than `MOST_LABELS` labels."""
    if count > MOST_LABELS:
        raise LabelsUnreadable(
            path,
            f"label file holds more than {MOST_LABELS} labels",
            "Export only the beat labels, or the recording in parts; --labels none reads it "
            "without labels",
        )
