"""Load a site's examples: training examples, and held-out patients for measurements."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.models.architecture import Architecture
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.beat_files import are_whole, beats_path
from ecgfl_cli.store.catalogue import RecordRow, Split, open_catalogue
from ecgfl_cli.store.segment import Segmented, segment
from ecgfl_cli.store.splits import new_splits
from ecgfl_cli.training.examples import Examples, examples_of, examples_of_patients
from ecgfl_cli.training.usual_pvcs import pvcs_as_the_usual_beat


@dataclass(frozen=True)
class HeldOut:
    """The records of the held-out patients, each in the lead that it is read in.

    Iteration reads one record after another, so that only one is in memory.

    Attributes
    ----------
    records : tuple of Segmented
        The records.
    architecture : Architecture
        The network that the examples are for.
    """

    records: tuple[Segmented, ...]
    architecture: Architecture

    def __iter__(self) -> Iterator[Examples]:
        """Yield the examples of each record."""
        return (examples_of([record.beats()], self.architecture) for record in self.records)


@dataclass(frozen=True)
class Dataset:
    """The examples of a site.

    Attributes
    ----------
    train : Examples
        A sample of the beats of every lead of the training patients, stored in a file.
    held_out : HeldOut
        Records of the held-out patients.
    records, patients : int
        Numbers of records and of patients in both together.
    train_patients : tuple of str
        Pseudonyms of the training patients, in the order of `Examples.patient`.
    """

    train: Examples
    held_out: HeldOut
    records: int
    patients: int
    train_patients: tuple[str, ...]


def require_training_data(home: Home) -> None:
    """Raise `UnusableInput` if the store has no recording that can be used for training."""
    with open_catalogue(home.catalogue) as catalogue:
        if not any(row.status == "usable" for row in catalogue.rows()):
            raise UnusableInput(
                f"{home.root}: the store has no labelled recording that can be used",
                "Run `ecgfl ingest PATH`; `ecgfl dataset list` shows the problems of the stored "
                "recordings",
            )


def require_cut_beats(home: Home, architecture: Architecture) -> None:
    """Raise `UnusableInput` if `load_dataset` would have to cut beats or assign splits."""
    with open_catalogue(home.catalogue) as catalogue:
        rows, splits = catalogue.rows(), catalogue.splits()
    usable = [row for row in rows if row.status == "usable"]
    missing = [
        row
        for row in usable
        if row.patient not in splits
        or not are_whole(beats_path(home.beats, architecture.window, row.record))
    ]
    if missing:
        raise UnusableInput(
            f"{home.beats}: the beats of {len(missing)} of {len(usable)} recordings are not cut "
            "yet",
            f"Run `ecgfl segment --arch {architecture.name}` first",
        )


def rows_of(home: Home, split: Split) -> list[RecordRow]:
    """Return the rows of the usable recordings of a split.

    Patients whose split is not stored yet are included.
    """
    with open_catalogue(home.catalogue) as catalogue:
        rows, splits = catalogue.rows(), catalogue.splits()
    splits |= new_splits(rows, splits)
    return [row for row in rows if row.status == "usable" and splits[row.patient] == split]


def load_dataset(home: Home, architecture: Architecture) -> Dataset:
    """Return the examples of this site for an architecture; cut missing beats first.

    Parameters
    ----------
    home : Home
        Home of the site.
    architecture : Architecture
        The network that the examples are for.
    """
    with open_catalogue(home.catalogue) as catalogue:
        segmented = list(segment(home, catalogue, architecture.window))
    train = [item for item in segmented if item.split == "train"]
    return Dataset(
        train_examples(train, architecture, home.beats),
        HeldOut(tuple(item for item in segmented if item.split == "held-out"), architecture),
        records=len(segmented),
        patients=len({item.row.patient for item in segmented}),
        train_patients=_patients_of(train),
    )


def load_held_out(home: Home, architecture: Architecture) -> HeldOut:
    """Return only the held-out patients' records; cut missing beats first.

    Parameters
    ----------
    home : Home
        Home of the site.
    architecture : Architecture
        The network that the examples are for.
    """
    with open_catalogue(home.catalogue) as catalogue:
        segmented = segment(home, catalogue, architecture.window)
        return HeldOut(tuple(item for item in segmented if item.split == "held-out"), architecture)


def train_examples(records: list[Segmented], architecture: Architecture, folder: Path) -> Examples:
    """Return the training examples of some records.

    Parameters
    ----------
    records : list of Segmented
        The records. Their patients are numbered from 0 on in the order of the records.
    architecture : Architecture
        The network that the examples are for.
    folder : Path
        Folder for the unnamed file that stores the inputs.
    """
    numbers = {patient: number for number, patient in enumerate(_patients_of(records))}
    return examples_of_patients(
        ((numbers[record.row.patient], beats) for record, beats in _learned(records, architecture)),
        architecture,
        folder,
    )


def _patients_of(records: list[Segmented]) -> tuple[str, ...]:
    """Return the patients of some records, each once, in the order of the records."""
    return tuple(dict.fromkeys(record.row.patient for record in records))


def _learned(
    records: list[Segmented], architecture: Architecture
) -> Iterator[tuple[Segmented, Beats]]:
    """Yield each record with the training beats of a lead, then with those made from its PVCs."""
    for record in records:
        for lead in record.learned():
            yield record, lead
    for record in records:
        for lead in record.learned():
            as_usual = pvcs_as_the_usual_beat(lead, architecture.window)
            if as_usual is not None:
                yield record, as_usual
