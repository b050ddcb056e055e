"""Test annotations held against a recording's own reference labels."""

from ecgfl_adapters.recording import BeatLabel, Recording

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.evaluation.annotations import BeatAnnotations
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.ec57 import compare


def assess(recording: Recording, test: list[BeatLabel]) -> Comparison:
    """Compare with the recording's labels. Raises `UnusableInput` when it has none or is too short to evaluate."""
    if recording.labels is None:
        raise UnusableInput(
            f"{recording.source.path}: no reference labels to compare with",
            "Put the .atr file beside it, or name it with --labels",
        )
    try:
        return compare(
            BeatAnnotations.from_labels(recording.labels), BeatAnnotations.from_labels(test), recording.fs, recording.length
        )
    except ValueError as error:
        raise UnusableInput(
            f"{recording.source.path}: {error}", "EC57 leaves the first 5 minutes out; take a longer recording"
        ) from error
