"""Predict many files: the library call behind `ecgfl predict`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError

from ecgfl_cli.errors import EcgflError, of_one_file
from ecgfl_cli.files import readable_as_usual
from ecgfl_cli.prediction.outputs import write_results
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.prediction import Prediction
from ecgfl_cli.prediction.writers.registry import Writer
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding
from ecgfl_cli.store.reading import Reading


@dataclass(frozen=True)
class Output:
    """Where the results of a batch are written.

    Attributes
    ----------
    folders
        Recording -> folder, see `output_folders`.
    writers
        One for each format.
    force
        Overwrite results that `predict` did not write.
    """

    folders: Mapping[Path, Path]
    writers: Sequence[Writer]
    force: bool = False


@dataclass(frozen=True)
class PredictedFile:
    """The prediction of one recording, its quality findings, and the files that were written."""

    prediction: Prediction
    findings: list[Finding]
    written: list[Path]


def predict_files(
    recordings: Iterable[Path],
    classifier: Classifier,
    reading: Reading,
    output: Output | None = None,
) -> Iterator[tuple[Path, PredictedFile | str]]:
    """Predict recordings one by one. A recording that cannot be predicted does not stop the others.

    Parameters
    ----------
    recordings
        One path per recording, as `ecgfl_adapters.discovery.find_recordings` returns them.
    classifier
        The model.
    reading
        How the recordings are read and checked.
    output
        Where the results are written; None writes nothing.

    Yields
    ------
    tuple of Path and (PredictedFile or str)
        The recording, and its result or the reason why there is none.
    """
    for path in recordings:
        try:
            yield path, _predict(path, classifier, reading, output)
        except (AdapterError, EcgflError) as error:
            yield path, str(error)
        except Exception as error:  # noqa: BLE001 - a broken file can raise anything in a format library
            yield path, str(of_one_file(path, error))


def _predict(
    path: Path, classifier: Classifier, reading: Reading, output: Output | None
) -> PredictedFile:
    recording = read(path, reading.format, reading.options)
    prediction = classifier.predict(recording, reading.lead)
    findings = check(recording, prediction.samples, reading.limits, reading.lead)
    written: list[Path] = []
    if output is not None:
        with readable_as_usual():
            written = write_results(
                recording, prediction, output.folders[path], output.writers, force=output.force
            )
    return PredictedFile(prediction, findings, written)
