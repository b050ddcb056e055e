"""Architectures: what each declares, and how to find one by name."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ecgfl_cli.beats.window import Window
from ecgfl_cli.errors import UsageError
from ecgfl_cli.models import architectures

if TYPE_CHECKING:
    from torch import nn

DEFAULT = "beatnet"

PVC = 1
"""Index of V among the kinds."""

BeatInput = Literal["windows", "departures", "context"]


@dataclass(frozen=True)
class Architecture:
    """A network for one lead. No other part of the program depends on its shapes.

    Attributes
    ----------
    name : str
        Name of the architecture and of its module.
    window : Window
        What the network sees of a beat.
    inputs : tuple of str
        Fields of `Beats` that its `forward` takes, in this order. The first dimension is the beats.
    build : callable
        Returns a new network. `forward` returns logits of shape (n, kinds).
    kinds : int
        Number of kinds of beats that it distinguishes: 2 (the rest and V), or those of
        `beats.sample.LEARNED`.
    augmented : bool
        Whether it is trained on augmented beats; see `training.augmentation`.
    learning_rate, local_epochs, batch_size
        Defaults for training with Adam.
    last_learning_rate : float
        Learning rate in the last round of a run.
    parts : mapping of str to tuple of str
        Parts of the network that can be trained alone, "last-layer" and "head": how the names of
        their parameters begin.
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
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def names() -> tuple[str, ...]:
    """Return the names of all architectures, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(architectures.__path__)))


def architecture(name: str) -> Architecture:
    """Return the architecture of a name. Raise `UsageError` if there is none."""
    if name not in names():
        raise UsageError(f"no architecture '{name}'", f"Choose one of: {', '.join(names())}")
    declared = importlib.import_module(f"{architectures.__name__}.{name}").ARCHITECTURE
    assert isinstance(declared, Architecture)
    return declared
