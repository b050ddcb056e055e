"""The reference network: the small CNN of the tutorial from which ecgfl began, kept as the baseline."""

from typing import TYPE_CHECKING

from ecgfl_cli.beats.window import Window
from ecgfl_cli.models.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

WINDOW = Window(fs=360, before=90, after=95)


def build() -> "nn.Module":
    """Takes departures from the record's typical beat, shape (n, 185); 184,802 weights."""
    from torch import nn

    return nn.Sequential(
        nn.Unflatten(1, (1, WINDOW.length)),
        nn.Conv1d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Linear(1440, 128),
        nn.Linear(128, 2),
    )


ARCHITECTURE = Architecture(
    name="ecgnet",
    window=WINDOW,
    # Given the windows themselves it takes every beat of a bundle branch block for a PVC. F1 on DS1 patients that it was not
    # trained on (three folds, two sites, five rounds, annotated beats, two seeds): windows 54 and 49, departures 79 and 76.
    inputs=("departures",),
    build=build,
    kinds=2,
    augmented=False,
    learning_rate=1e-3,
    last_learning_rate=1e-3,
    local_epochs=3,
    batch_size=256,
)
