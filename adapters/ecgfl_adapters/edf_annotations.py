"""EDF+ time-stamped annotation lists: when each data record starts, and what was annotated.

edfio keeps the data records' onsets to itself and refuses annotation texts that are not UTF-8; both are needed here.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf_header import Header
from ecgfl_adapters.edf_samples import span_of
from ecgfl_adapters.errors import FileUnreadable

_LIST = re.compile(rb"([+-]\d{1,12}(?:\.\d*)?)(?:\x15\d*(?:\.\d*)?)?\x14([^\x00]*?)\x14\x00")


class Annotation(NamedTuple):
    """`onset` in seconds after the start that the header gives."""

    onset: float
    text: str


class Annotations(NamedTuple):
    """`starts`: onset of each data record in seconds, shape (records,); None for a file without time keeping (plain EDF)."""

    starts: NDArray[np.float64] | None
    annotations: tuple[Annotation, ...]


def read_annotations(path: Path, header: Header, records: NDArray[np.uint8]) -> Annotations:
    """Read every annotation channel. records : shape (records, bytes of one), uint8. Raises `FileUnreadable`."""
    starts: list[float] | None = None
    found: list[Annotation] = []
    for channel in header.channels:
        if not channel.is_annotations:
            continue
        lists = [_LIST.findall(record.tobytes()) for record in records[:, span_of(header, channel)]]
        if starts is None:
            starts = [_record_start(path, number, entries) for number, entries in enumerate(lists)]
        found += [
            Annotation(float(onset), _text(text))
            for entries in lists
            for onset, texts in entries
            for text in texts.split(b"\x14")
            if text
        ]
    return Annotations(None if starts is None else np.array(starts), tuple(found))


def _record_start(path: Path, number: int, entries: list[tuple[bytes, bytes]]) -> float:
    if not entries:
        raise FileUnreadable(
            path,
            f"data record {number} has no time stamp in its annotations",
            "Export the file again from the recorder's software",
        )
    return float(entries[0][0])


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
