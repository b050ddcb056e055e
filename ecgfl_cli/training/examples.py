"""The labelled beats a network learns from or is measured on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.beats.beats import Beats
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


def examples_of(records: list[Beats], architecture: Architecture) -> Examples:
    """The readable beats of classes N, S and V; F, Q and unlabelled beats teach nothing about V against the rest."""
    inputs: list[list[NDArray[np.float32]]] = [[] for _ in architecture.inputs]
    is_pvc = [np.empty(0, dtype=bool)]
    for beats in records:
        chosen = beats.readable & np.isin(beats.classes, (BeatClass.N, BeatClass.S, BeatClass.V))
        for column, field in zip(inputs, architecture.inputs, strict=True):
            column.append(getattr(beats, field)[chosen])
        is_pvc.append(beats.classes[chosen] == BeatClass.V)
    return Examples(
        tuple(np.concatenate(column) if column else np.empty((0, 0), np.float32) for column in inputs), np.concatenate(is_pvc)
    )
