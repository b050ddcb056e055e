"""One site's share of a round: some epochs of Adam from the global weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ecgfl_cli.models.inference import logits
from ecgfl_cli.training.examples import Examples

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TrainingPlan:
    """epochs : passes over the examples. learning_rate : Adam's. batch_size : beats. seed : of the order of the beats.

    threads : processor threads that may be used.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    threads: int = 1


def train(network: "nn.Module", examples: Examples, plan: TrainingPlan) -> float:
    """Train in place with cross-entropy; returns the mean loss of the last epoch."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(plan.threads)
    inputs, target = examples.tensors()
    optimiser = torch.optim.Adam(network.parameters(), lr=plan.learning_rate)
    order = torch.Generator().manual_seed(plan.seed)
    network.train()
    loss_sum = 0.0
    for _ in range(plan.epochs):
        loss_sum = 0.0
        for batch in torch.split(torch.randperm(len(examples), generator=order), plan.batch_size):
            optimiser.zero_grad(set_to_none=True)
            loss = cross_entropy(network(*(array[batch] for array in inputs)), target[batch])
            torch.autograd.backward(loss)
            optimiser.step()
            loss_sum += loss.item() * len(batch)
    return loss_sum / max(len(examples), 1)


@dataclass(frozen=True)
class Measured:
    """How a network does on labelled beats (annotated ones: for EC57 figures see `ecgfl evaluate`)."""

    beats: int
    pvcs: int
    true_positives: int
    false_positives: int
    loss: float

    @property
    def sensitivity(self) -> float | None:
        return self.true_positives / self.pvcs if self.pvcs else None

    @property
    def precision(self) -> float | None:
        called = self.true_positives + self.false_positives
        return self.true_positives / called if called else None


def measure(network: "nn.Module", examples: Examples, threshold: float = 0.5) -> Measured:
    """Loss and counts on labelled beats."""
    from torch.nn.functional import cross_entropy

    found = logits(network, examples.inputs, np.arange(len(examples)))
    loss = float(cross_entropy(found, examples.tensors()[1])) if len(examples) else 0.0
    called = found.softmax(dim=1)[:, 1].numpy() >= threshold
    return Measured(
        beats=len(examples),
        pvcs=int(examples.is_pvc.sum()),
        true_positives=int(np.sum(called & examples.is_pvc)),
        false_positives=int(np.sum(called & ~examples.is_pvc)),
        loss=loss,
    )
