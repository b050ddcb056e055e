"""The reference network: the small CNN of the tutorial from which ecgfl began, kept as the baseline."""

from typing import TYPE_CHECKING

from ecgfl_cli.beats.window import Window
from ecgfl_cli.models.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

WINDOW = Window(fs=360, before=90, after=95)


def build() -> "nn.Module":
    """Takes windows of shape (n, 185); 184,802 weights."""
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
    inputs=("windows",),
    build=build,
    learning_rate=1e-3,
    local_epochs=3,
    batch_size=256,
)
