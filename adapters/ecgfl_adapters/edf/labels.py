"""Reads beat labels from the annotations of an EDF+ or BDF+ file."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ecgfl_adapters.edf.annotations import Annotations, read_annotations
from ecgfl_adapters.edf.data_records import data_records
from ecgfl_adapters.edf.header import read_header
from ecgfl_adapters.edf.padding import is_written_here
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.symbols import BEAT_SYMBOLS, in_order, is_sure, symbol_of

LONGEST_INTERVAL = 2.5
"""Longest time between beats in seconds, at 24 beats per minute. Sleep is staged every 20 or 30 s,
and an apnoea lasts at least 10 s (AASM manual).
"""

LONGEST_BEAT = 2.0
"""Longest duration of a beat annotation, in seconds."""


def beat_labels(
    notes: Annotations,
    fs: float,
    vocabulary: Mapping[str, str],
    drift: Callable[[float], float] = lambda onset: 0.0,  # noqa: ARG005
    *,
    are_beats: bool = False,
) -> tuple[BeatLabel, ...] | None:
    """Return the annotations whose text is a WFDB symbol or a known word for a beat.

    Return None if none of them is a beat. Single letters, and words that may also be remarks, count
    only if they are as close together as beats: sleep stages, body positions, apnoea events and
    notes are not beats. An annotation that lasts longer than a beat is not one either.

    Parameters
    ----------
    fs : float
        Sampling rate in hertz of the samples that they count, from the start of the first data
        record.
    drift : callable
        See `edf.timeline.drift_of`.
    are_beats : bool
        Whether the annotations are known to be beat labels, however far apart.
    """
    origin = 0.0 if notes.starts is None else float(notes.starts[0])
    known = [
        (note, symbol)
        for note in notes.annotations
        if (symbol := symbol_of(note.text, vocabulary)) is not None and note.onset >= origin
    ]
    short = [
        note.onset
        for note, symbol in known
        if symbol in BEAT_SYMBOLS and note.duration <= LONGEST_BEAT
    ]
    longest = math.inf if are_beats else LONGEST_BEAT if _stand_close(short) else -math.inf
    known = [
        (note, symbol)
        for note, symbol in known
        if note.duration <= longest or is_sure(note.text, vocabulary)
    ]
    labels = [
        BeatLabel(round((note.onset - origin) * fs + drift(note.onset)), symbol)
        for note, symbol in known
    ]
    return in_order(labels) if any(label.symbol in BEAT_SYMBOLS for label in labels) else None


def _stand_close(onsets: list[float]) -> bool:
    """Return whether most annotations are as close to the one before as beats are."""
    return len(onsets) > 1 and float(np.median(np.diff(np.sort(onsets)))) <= LONGEST_INTERVAL


def read_edf_labels(path: Path, fs: float, vocabulary: Mapping[str, str]) -> tuple[BeatLabel, ...]:
    """Return the beat labels of an EDF+ file beside a recording, which may also hold a signal.

    Raises `AdapterError`.
    """
    header = read_header(path)
    notes = read_annotations(data_records(path, header, force=False))
    return beat_labels(notes, fs, vocabulary, are_beats=is_written_here(header.recording)) or ()
