"""Find the annotated parts of a recording.

Training, evaluation and the finding `labels-partial` use this definition.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from ecgfl_adapters.recording import BeatLabel, Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import classify
from ecgfl_cli.beats.beats import MATCH_SECONDS

UNLABELLED_SECONDS, UNLABELLED_BEATS = 30.0, 20
"""A stretch without labels that is at least this long and holds at least this many detected beats
was not annotated.

Annotators skip single beats in noise: in the 48 mitdb, 40 svdb, 3 nstdb and 29 qtdb records, at
most 4 detected beats in a row, within 1.5 s, have no label."""

FEWEST_LABELS = 5
"""Minimum number of beat labels in an annotated part; fewer labels among unlabelled beats are
notes.

5 beats fill 10 s at 30 beats a minute."""

_OTHER_EVIDENCE = frozenset("![]|~x")
"""Non-beat symbols that also show that a place was annotated: flutter, artefacts, noise, blocked P
waves."""

_EPISODES = {("[", "]"), ("~", "~")}
"""Pairs of symbols that begin and end a stretch in which beats need no label."""


def annotated_spans(recording: Recording, beats: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the annotated parts of a recording, in order.

    A part extends from its first to its last label, plus EC57's match window on both sides. If the
    signal before the first or after the last label is too short to count as unannotated, the part
    extends to that end of the recording.

    Parameters
    ----------
    recording : Recording
        Recording with labels. Labels outside the signal are ignored.
    beats : array of int64, shape (n,)
        Detected R peaks in samples of the recording, sorted.

    Returns
    -------
    array of int64, shape (m, 2)
        Start and stop of each part in samples, stop excluded. A fully annotated recording has one
        row.
    """
    labels = sorted(
        label
        for label in recording.labels or ()
        if _is_evidence(label) and 0 <= label.sample < recording.length
    )
    positions = np.array([0, *(label.sample for label in labels), recording.length], dtype=np.int64)
    symbols = ["", *(label.symbol for label in labels), ""]
    window = round(MATCH_SECONDS * recording.fs)
    unlabelled = np.searchsorted(beats, positions[1:] - window) - np.searchsorted(
        beats, positions[:-1] + window, side="right"
    )
    empty = (unlabelled >= UNLABELLED_BEATS) & (
        np.diff(positions) >= UNLABELLED_SECONDS * recording.fs
    )
    empty &= [pair not in _EPISODES for pair in pairwise(symbols)]
    spans = []
    breaks = np.flatnonzero(empty).tolist()
    for before, after in zip([-1, *breaks], [*breaks, empty.size], strict=True):
        inside = symbols[before + 1 : after + 1]
        if sum(classify(symbol) is not None for symbol in inside) >= (
            FEWEST_LABELS if breaks else 1
        ):
            start = 0 if before < 0 else max(0, positions[before + 1] - window)
            stop = (
                recording.length
                if after == empty.size
                else min(recording.length, positions[after] + window + 1)
            )
            spans.append((start, stop))
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def is_whole(recording: Recording, spans: NDArray[np.int64]) -> bool:
    """Whether the annotated parts cover the whole recording."""
    return bool(spans.tolist() == [[0, recording.length]])


def annotated_part(recording: Recording, beats: NDArray[np.int64]) -> Recording:
    """Return the recording without labels outside its annotated parts; see `annotated_spans`."""
    if recording.labels is None:
        return recording
    spans = annotated_spans(recording, beats)
    if is_whole(recording, spans):
        return recording
    return replace(
        recording, labels=tuple(label for label in recording.labels if inside(label.sample, spans))
    )


def inside(sample: int, spans: NDArray[np.int64]) -> bool:
    """Whether a sample lies in one of the parts."""
    return bool(((spans[:, 0] <= sample) & (sample < spans[:, 1])).any())


def _is_evidence(label: BeatLabel) -> bool:
    return classify(label.symbol) is not None or label.symbol in _OTHER_EVIDENCE
