"""Evaluate annotations of many files: the library call behind `ecgfl evaluate`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgfl_adapters.errors import AdapterError
from ecgfl_adapters.recording import BeatLabel, Recording

from ecgfl_cli.errors import EcgflError, of_one_file
from ecgfl_cli.evaluation.assess import assess, evaluated_spans, reference_of
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.ec57 import LEARNING_PERIOD_S
from ecgfl_cli.quality.rhythm import rhythm_beats

Annotate = Callable[[Path, Recording], Sequence[BeatLabel]]
"""Returns the annotations to evaluate of a recording, given its path and content."""


@dataclass(frozen=True)
class EvaluatedFile:
    """Comparisons of one recording with its reference, one for each set of annotations.

    Attributes
    ----------
    name
        The recording's name.
    seconds
        Length of the recording.
    spans
        The evaluated parts, each its start and end in seconds.
    evaluated_seconds
        Their length together.
    """

    name: str
    seconds: float
    comparisons: list[Comparison]
    spans: list[tuple[float, float]]
    evaluated_seconds: float

    @property
    def is_partly_labelled(self) -> bool:
        """Whether more than a second after the learning period is not labelled."""
        return self.seconds - self.evaluated_seconds > LEARNING_PERIOD_S + 1


def evaluate_files(
    recordings: Iterable[Path],
    read: Callable[[Path], Recording],
    annotators: Sequence[Annotate],
    *,
    lead: str | None = None,
    whole: bool = False,
) -> Iterator[tuple[Path, EvaluatedFile | str]]:
    """Compare annotations of recordings with their reference labels.

    A recording that fails does not stop the others.

    Parameters
    ----------
    recordings
        One path per recording.
    read
        Reads a recording with its reference labels.
    annotators
        Each returns a set of annotations to evaluate.
    lead
        The lead in which beats are detected to find the annotated parts; None for the usual one.
    whole
        Evaluate each recording as a whole instead of its annotated parts, as bxb does.

    Yields
    ------
    tuple of Path and (EvaluatedFile or str)
        The recording, and its comparisons or the reason why there are none.
    """
    for path in recordings:
        try:
            yield path, _evaluate(path, read(path), annotators, lead, whole)
        except (AdapterError, EcgflError) as error:
            yield path, str(error)
        except Exception as error:  # noqa: BLE001 - a broken file can raise anything in a format library
            yield path, str(of_one_file(path, error))


def _evaluate(
    path: Path,
    recording: Recording,
    annotators: Sequence[Annotate],
    lead: str | None,
    whole: bool,
) -> EvaluatedFile:
    reference = reference_of(recording)
    spans = evaluated_spans(recording, rhythm_beats(recording, lead), as_it_stands=whole)
    return EvaluatedFile(
        recording.name,
        recording.seconds,
        [assess(recording, reference, annotate(path, recording), spans) for annotate in annotators],
        [(start / recording.fs, stop / recording.fs) for start, stop in spans.tolist()],
        float(sum(stop - start for start, stop in spans.tolist()) / recording.fs),
    )
