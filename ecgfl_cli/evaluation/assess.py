"""Compare test annotations with a recording's own reference labels."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from ecgfl_adapters.recording import BeatLabel, Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.annotated import annotated_spans, inside
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.evaluation.annotations import BeatAnnotations, MatrixCode, code_of
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.ec57 import compare, evaluated_samples


def reference_of(recording: Recording) -> BeatAnnotations:
    """Return the recording's labels.

    Raises
    ------
    UnusableInput
        It has no labels, no labelled beat, or is too short to evaluate.
    """
    path = recording.source.path
    if recording.label_origin == "machine":
        raise UnusableInput(
            f"{path}: the labels are this program's own prediction, and nothing shows that a "
            "person corrected them",
            "Correct them, or name a reference with --labels; --test compares a prediction with a "
            "reference",
        )
    if recording.labels is None:
        raise UnusableInput(
            f"{path}: no reference labels to compare with",
            "Put the .atr file beside it, or name it with --labels",
        )
    reference = BeatAnnotations.from_labels(recording.labels)
    if not any(_is_beat(symbol) for symbol in reference.symbols):
        raise UnusableInput(
            f"{path}: none of its {len(reference.symbols)} reference labels is a beat",
            "Name the annotations that hold the beats, e.g. --labels qrs",
        )
    try:
        evaluated_samples(recording.fs, recording.length)
    except ValueError as error:
        raise UnusableInput(
            f"{path}: {error}", "EC57 leaves the first 5 minutes out; take a longer recording"
        ) from error
    return reference


def evaluated_spans(
    recording: Recording, beats: NDArray[np.int64], *, as_it_stands: bool = False
) -> NDArray[np.int64]:
    """Return the annotated parts of a recording after EC57's learning period.

    Parameters
    ----------
    beats
        Shape (n,), detected R peaks in samples of the recording, sorted.
    as_it_stands
        Treat the whole recording as annotated, as `bxb` does; for comparing two annotation files,
        not for a model.

    Raises
    ------
    UnusableInput
        If no annotated part remains.
    """
    path, start = (
        recording.source.path,
        recording.length - evaluated_samples(recording.fs, recording.length),
    )
    if as_it_stands:
        return np.array([[start, recording.length]])
    spans = annotated_spans(recording, beats)
    if not len(spans):
        raise UnusableInput(
            f"{path}: its reference labels are scattered among {beats.size} detected beats",
            "Give a reference that labels every beat with --labels FILE",
        )
    after = spans[spans[:, 1] > start]
    if not len(after):
        raise UnusableInput(
            f"{path}: its labels cover only the first {spans[-1, 1] / recording.fs:.0f} s",
            "EC57 leaves out the first 5 minutes; use labels of a longer part",
        )
    after[0, 0] = max(after[0, 0], start)
    return after


def assess(
    recording: Recording,
    reference: BeatAnnotations,
    test: Iterable[BeatLabel],
    spans: NDArray[np.int64] | None = None,
) -> Comparison:
    """Compare annotations of the recording with its reference (`reference_of`).

    Parameters
    ----------
    spans
        Parts to compare, as `evaluated_spans` returns them; None compares the whole recording.
    """
    if spans is None or _reaches_all(recording, spans):
        return compare(reference, BeatAnnotations.from_labels(test), recording.fs, recording.length)
    labels = [
        BeatLabel(int(sample), symbol)
        for sample, symbol in zip(reference.samples, reference.symbols, strict=True)
    ]
    ours, theirs = (
        BeatAnnotations.from_labels(label for label in each if inside(label.sample, spans))
        for each in (labels, test)
    )
    compared = compare(ours, theirs, recording.fs, recording.length)
    return replace(compared, seconds=float((spans[:, 1] - spans[:, 0]).sum()) / recording.fs)


def _reaches_all(recording: Recording, spans: NDArray[np.int64]) -> bool:
    start = recording.length - evaluated_samples(recording.fs, recording.length)
    return bool(spans.tolist() == [[start, recording.length]])


def _is_beat(symbol: str) -> bool:
    code = code_of(symbol)
    return code is not None and code < MatrixCode.NO_BEAT
