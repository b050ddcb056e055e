"""Run a network on many beats, a batch at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.models.architecture import PVC, Architecture

BATCH = 256
"""Beats of a batch. The output of a layer then stays in the processor's cache, which is nearly
twice as fast as with 2048."""


def logits(network: nn.Module, inputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the logit of V against the rest for each beat, shape (n,).

    Parameters
    ----------
    network : torch.nn.Module
        The network.
    inputs : sequence of array of float32
        The architecture's inputs of readable beats. The first dimension is the beats.
    """
    network.eval()
    parts = [np.empty(0, dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(inputs[0]), BATCH):
            values = network(*(torch.from_numpy(array[start : start + BATCH]) for array in inputs))
            others = torch.cat((values[:, :PVC], values[:, PVC + 1 :]), dim=1)
            parts.append((values[:, PVC] - torch.logsumexp(others, dim=1)).numpy())
    return np.concatenate(parts)


def beat_logits(
    network: nn.Module, architecture: Architecture, beats: Beats
) -> NDArray[np.float32]:
    """Return the logit of each beat of a lead, shape (n,); NaN for an unreadable beat."""
    values = np.full(len(beats), np.nan, dtype=np.float32)
    readable = np.flatnonzero(beats.readable)
    for start in range(0, readable.size, BATCH):
        batch = readable[start : start + BATCH]
        part = beats.take(batch)
        values[batch] = logits(network, [getattr(part, field) for field in architecture.inputs])
    return values
