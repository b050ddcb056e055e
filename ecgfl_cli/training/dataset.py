"""A site's examples: what it trains on, and the held-out patients it measures on."""

from collections.abc import Iterator
from dataclasses import dataclass

from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.models.architecture import Architecture
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.beat_files import are_whole, beats_path
from ecgfl_cli.store.catalogue import RecordRow, Split, open_catalogue
from ecgfl_cli.store.segment import Segmented, segment
from ecgfl_cli.store.splits import new_splits
from ecgfl_cli.training.examples import Examples, examples_of
from ecgfl_cli.training.usual_pvcs import pvcs_as_the_usual_beat


@dataclass(frozen=True)
class HeldOut:
    """The held-out patients' records, as often as they are asked for: all beats of the lead that each is read in, record by
    record, so that no more than one is in memory."""

    records: tuple[Segmented, ...]
    architecture: Architecture

    def __iter__(self) -> Iterator[Examples]:
        return (examples_of([record.beats()], self.architecture) for record in self.records)


@dataclass(frozen=True)
class Dataset:
    """train : a sample of the beats of every lead, kept in a file. held_out : of other patients.

    records, patients : how many stand behind both.
    """

    train: Examples
    held_out: HeldOut
    records: int
    patients: int


def require_training_data(home: Home) -> None:
    """Raises `UnusableInput` when no recording of the store can be trained on."""
    with open_catalogue(home.catalogue) as catalogue:
        if not any(row.status == "usable" for row in catalogue.rows()):
            raise UnusableInput(
                f"{home.root}: no usable labelled recording in the store",
                "Run `ecgfl ingest PATH`; `ecgfl dataset list` says what is wrong with those that are there",
            )


def require_cut_beats(home: Home, architecture: Architecture) -> None:
    """Raises `UnusableInput` when `load_dataset` would have to cut beats or deal out patients first."""
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
            f"{home.beats}: the beats of {len(missing)} of {len(usable)} recordings are not cut yet",
            f"Run `ecgfl segment --arch {architecture.name}` first",
        )


def rows_of(home: Home, split: Split) -> list[RecordRow]:
    """Return the catalogue's rows of the usable recordings of a split, including patients whose split is not stored yet."""
    with open_catalogue(home.catalogue) as catalogue:
        rows, splits = catalogue.rows(), catalogue.splits()
    splits |= new_splits(rows, splits)
    return [row for row in rows if row.status == "usable" and splits[row.patient] == split]


def load_dataset(home: Home, architecture: Architecture) -> Dataset:
    """The examples of this site for an architecture; beats that are not cut yet are cut now."""
    with open_catalogue(home.catalogue) as catalogue:
        segmented = list(segment(home, catalogue, architecture.window))
    train = [item for item in segmented if item.split == "train"]
    return Dataset(
        examples_of(_learned(train, architecture), architecture, home.beats),
        HeldOut(tuple(item for item in segmented if item.split == "held-out"), architecture),
        records=len(segmented),
        patients=len({item.row.patient for item in segmented}),
    )


def load_held_out(home: Home, architecture: Architecture) -> HeldOut:
    """The held-out patients' records alone, for an architecture that this site does not train."""
    with open_catalogue(home.catalogue) as catalogue:
        segmented = segment(home, catalogue, architecture.window)
        return HeldOut(tuple(item for item in segmented if item.split == "held-out"), architecture)


def _learned(train: list[Segmented], architecture: Architecture) -> Iterator[Beats]:
    for item in train:
        yield from item.learned()
    for item in train:
        for lead in item.learned():
            as_usual = pvcs_as_the_usual_beat(lead, architecture.window)
            if as_usual is not None:
                yield as_usual
