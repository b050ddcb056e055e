"""Parses EDF+ time-stamped annotation lists: the starts of the data records, and the annotations.

pyedflib is not used, because it refuses texts and times that real files contain.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf.data_records import DataRecords
from ecgfl_adapters.errors import FileUnreadable

MOST_ANNOTATIONS = 1 << 23
"""Largest number of annotations in a file: 31 days at 180 beats per minute."""

_LIST = re.compile(rb"([+-]\d{1,12}(?:\.\d*)?)(?:\x15(\d*(?:\.\d*)?))?\x14(.*)\x14", re.DOTALL)


class Annotation(NamedTuple):
    """An annotation of an EDF+ file.

    Parameters
    ----------
    onset : float
        Seconds after the start in the header.
    text : str
        The text.
    duration : float
        Seconds; 0 if none is stated.
    """

    onset: float
    text: str
    duration: float = 0.0


class Annotations(NamedTuple):
    """The annotations of a file.

    Parameters
    ----------
    starts : array, optional
        Onset of each data record in seconds, shape (records,); None for plain EDF.
    annotations : tuple of Annotation
        The annotations.
    """

    starts: NDArray[np.float64] | None
    annotations: tuple[Annotation, ...]


def read_annotations(records: DataRecords) -> Annotations:
    """Read all annotation channels of a file.

    Raises
    ------
    FileUnreadable
        If a data record has no time stamp, or there are too many annotations.
    """
    channels = [channel for channel in records.header.channels if channel.is_annotations]
    starts = np.empty(records.count) if channels else None
    annotations: list[Annotation] = []
    for channel in channels:
        for first, raw in records.of(channel):
            for number, record in enumerate(raw, start=first):
                lists = map(_LIST.fullmatch, record.tobytes().split(b"\0"))
                entries = [(match[1], match[2], match[3]) for match in lists if match is not None]
                if starts is not None and channel is channels[0]:
                    starts[number] = _record_start(records.path, number, entries)
                annotations += [
                    Annotation(float(onset), _text(text), _seconds(duration))
                    for onset, duration, texts in entries
                    for text in texts.split(b"\x14")
                    if text
                ]
                if len(annotations) > MOST_ANNOTATIONS:
                    raise FileUnreadable(
                        records.path,
                        f"it holds more than {MOST_ANNOTATIONS} annotations",
                        "Export the file again, in parts or without annotations",
                    )
    return Annotations(starts, tuple(annotations))


def _record_start(
    path: Path, number: int, entries: list[tuple[bytes, bytes | None, bytes]]
) -> float:
    if not entries:
        raise FileUnreadable(
            path,
            f"data record {number} has no time stamp in its annotations",
            "Export the file again from the recorder's software",
        )
    return float(entries[0][0])


def _seconds(duration: bytes | None) -> float:
    return float(duration) if duration and duration != b"." else 0.0


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
