"""What an architecture declares, and where to find the one of a given name."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ecgfl_cli.beats.window import Window
from ecgfl_cli.errors import UsageError
from ecgfl_cli.models import architectures

if TYPE_CHECKING:
    from torch import nn

DEFAULT = "beatnet"

PVC = 1
"""The place of V among the kinds."""

BeatInput = Literal["windows", "departures", "context"]


@dataclass(frozen=True)
class Architecture:
    """A network for one lead and what it needs; nothing else in the program knows its shapes.

    window : what it sees of a beat, and at which rate.
    inputs : the fields of `Beats` that its `forward` takes, in this order, each with the beats as first dimension.
    build : makes a fresh network; `forward` gives logits of shape (n, kinds).
    kinds : of beats that it tells apart: 2, of which the second, PVC, is V and the first the rest, or as many as there are in
        `beats.sample.LEARNED`, in their order.
    augmented : whether it is trained on beats changed as other recorders would have (`training.augmentation`).
    learning_rate, local_epochs, batch_size : its defaults for training with Adam.
    last_learning_rate : the one of a run's last round.
    """

    name: str
    window: Window
    inputs: tuple[BeatInput, ...]
    build: Callable[[], "nn.Module"]
    kinds: int
    augmented: bool
    learning_rate: float
    last_learning_rate: float
    local_epochs: int
    batch_size: int


def names() -> tuple[str, ...]:
    """Every architecture of this program."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(architectures.__path__)))


def architecture(name: str) -> Architecture:
    """The architecture of that name. Raises `UsageError` when there is none."""
    if name not in names():
        raise UsageError(f"no architecture '{name}'", f"Choose one of: {', '.join(names())}")
    found = importlib.import_module(f"{architectures.__name__}.{name}").ARCHITECTURE
    assert isinstance(found, Architecture)
    return found
