"""A site's examples: what it trains on, and the held-out patients it measures on."""

from dataclasses import dataclass

from ecgfl_cli.beats.sample import sample
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.models.architecture import Architecture
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.store.segment import segment
from ecgfl_cli.training.examples import Examples, examples_of
from ecgfl_cli.training.usual_pvcs import pvcs_as_the_usual_beat


@dataclass(frozen=True)
class Dataset:
    """train, held_out : of different patients. records, patients : how many stand behind both.

    train holds a sample of the beats of every lead, held_out all beats of the lead that a record is read in.
    """

    train: Examples
    held_out: Examples
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


def load_dataset(home: Home, architecture: Architecture) -> Dataset:
    """The examples of this site for an architecture; beats that are not cut yet are cut now."""
    with open_catalogue(home.catalogue) as catalogue:
        segmented = list(segment(home, catalogue, architecture.window))
    train = [item for item in segmented if item.split == "train"]
    held_out = [item for item in segmented if item.split == "held-out"]
    learned = [lead for item in train for lead in (sample(item.beats), *item.others)]
    return Dataset(
        examples_of(
            [*learned, *(as_usual for lead in learned if (as_usual := pvcs_as_the_usual_beat(lead, architecture.window)))],
            architecture,
        ),
        examples_of([item.beats for item in held_out], architecture),
        records=len(segmented),
        patients=len({item.row.patient for item in segmented}),
    )
