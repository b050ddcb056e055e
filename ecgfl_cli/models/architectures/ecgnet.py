"""The reference network: the small CNN of the tutorial that ecgfl is based on."""

from typing import TYPE_CHECKING

from ecgfl_cli.beats.window import Window
from ecgfl_cli.models.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

WINDOW = Window(fs=360, before=90, after=95)


def build() -> "nn.Module":
    """Return a new network with 184,802 weights.

    It takes departures from the typical beat, shape (n, 185), and returns logits of the rest and V.
    """
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
    # With the windows themselves as input, it calls every beat of a bundle branch block a PVC. F1
    # on DS1 patients that it was not trained on (three folds, two sites, five rounds, annotated
    # beats, two seeds): windows 54 and 49, departures 79 and 76.
    inputs=("departures",),
    build=build,
    kinds=2,
    augmented=False,
    learning_rate=1e-3,
    last_learning_rate=1e-3,
    local_epochs=3,
    batch_size=256,
    parts={"last-layer": ("6.",), "head": ("5.", "6.")},
)
