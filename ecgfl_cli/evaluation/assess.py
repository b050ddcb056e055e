"""Test annotations held against a recording's own reference labels."""

from collections.abc import Iterable

from ecgfl_adapters.recording import BeatLabel, Recording

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.evaluation.annotations import NO_BEAT, BeatAnnotations, code_of
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.ec57 import compare, evaluated_samples


def reference_of(recording: Recording) -> BeatAnnotations:
    """The recording's labels. Raises `UnusableInput` when it has none, none that is a beat, or is too short to evaluate."""
    place = recording.source.path
    if recording.labels is None:
        raise UnusableInput(
            f"{place}: no reference labels to compare with", "Put the .atr file beside it, or name it with --labels"
        )
    reference = BeatAnnotations.from_labels(recording.labels)
    if not any(_is_beat(symbol) for symbol in reference.symbols):
        raise UnusableInput(
            f"{place}: none of its {len(reference.symbols)} reference labels is a beat",
            "Name the annotations that hold the beats, e.g. --labels qrs",
        )
    try:
        evaluated_samples(recording.fs, recording.length)
    except ValueError as error:
        raise UnusableInput(f"{place}: {error}", "EC57 leaves the first 5 minutes out; take a longer recording") from error
    return reference


def assess(recording: Recording, reference: BeatAnnotations, test: Iterable[BeatLabel]) -> Comparison:
    """Compare annotations of the recording with its `reference_of`."""
    return compare(reference, BeatAnnotations.from_labels(test), recording.fs, recording.length)


def _is_beat(symbol: str) -> bool:
    code = code_of(symbol)
    return code is not None and code < NO_BEAT
