"""The labelled beats a network learns from or is measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.beats.sample import learnable
from ecgfl_cli.models.architecture import Architecture

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Examples:
    """inputs : the architecture's inputs, each of shape (n, ...), float32. is_pvc : shape (n,), bool."""

    inputs: tuple[NDArray[np.float32], ...]
    is_pvc: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.is_pvc.size)

    def tensors(self) -> "tuple[list[torch.Tensor], torch.Tensor]":
        import torch

        return [torch.from_numpy(array) for array in self.inputs], torch.from_numpy(self.is_pvc.astype(np.int64))


def examples_of(leads: Sequence[Beats], architecture: Architecture) -> Examples:
    """The learnable beats of all these leads, one lead behind the other."""
    usable = [learnable(beats) for beats in leads]
    inputs = tuple(
        np.concatenate([getattr(beats, field) for beats in usable]) if usable else np.empty((0, 0), np.float32)
        for field in architecture.inputs
    )
    classes = np.concatenate([np.empty(0, np.int8), *(beats.classes for beats in usable)])
    return Examples(inputs, classes == BeatClass.V)
