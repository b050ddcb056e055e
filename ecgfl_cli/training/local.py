"""Train a network on one site's examples, and measure it.

A site trains for some epochs with AdamW (Adam with decoupled weight decay), starting from the
global weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ecgfl_cli.models.architecture import Architecture, BeatInput
from ecgfl_cli.models.calibration import UNCALIBRATED, USUAL_THRESHOLD, Calibration, counted
from ecgfl_cli.models.inference import logits
from ecgfl_cli.training.augmentation import augmented, mixed, noise_samples
from ecgfl_cli.training.examples import Examples

WEIGHT_DECAY = 0.02
"""Decoupled weight decay (Loshchilov & Hutter, ICLR 2019). With it, the mean log loss of records of
patients held out of training fell from 0.335 to 0.322; another seed changes it by 0.015."""

LEAST_IN_A_STEP = 16
"""Smallest number of beats in a step, because the gradient of a single beat reveals its shape. If
the beats are not a whole number of batches, the last batch could be as small as one beat."""


@dataclass(frozen=True)
class TrainingPlan:
    """How a site trains in a round.

    Attributes
    ----------
    epochs : int
        Passes over the examples.
    learning_rate : float
        Learning rate of Adam.
    batch_size : int
        Beats in each step.
    seed : int
        Seed for shuffling, augmentation and dropout.
    threads : int
        Number of processor threads.
    proximal_mu : float
        Weight of FedProx's proximal term; 0 for none.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    threads: int = 1
    proximal_mu: float = 0.0


def train(
    network: nn.Module, architecture: Architecture, examples: Examples, plan: TrainingPlan
) -> float:
    """Train a network in place with weighted cross-entropy.

    Parameters
    ----------
    network : torch.nn.Module
        The network with the global weights.
    architecture : Architecture
        Architecture of the network.
    examples : Examples
        The training beats.
    plan : TrainingPlan
        How to train.

    Returns
    -------
    float
        Mean loss in the last epoch, without the proximal term.
    """
    torch.set_num_threads(plan.threads)
    target = torch.from_numpy(examples.kind)
    weight = torch.from_numpy(examples.weight)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=WEIGHT_DECAY
    )
    order = torch.Generator().manual_seed(plan.seed)
    torch.manual_seed(plan.seed)  # for dropout
    noise = noise_samples(plan.seed) if architecture.augmented else None
    start = [weights.detach().clone() for weights in network.parameters()]
    network.train()
    ends = batch_ends(len(examples), plan.batch_size)
    loss_sum = 0.0
    for _ in range(plan.epochs):
        loss_sum = 0.0
        for batch in torch.tensor_split(torch.randperm(len(examples), generator=order), ends):
            optimiser.zero_grad(set_to_none=True)
            inputs = map(torch.from_numpy, examples.inputs(batch.numpy()))
            beats: dict[BeatInput, Tensor] = dict(zip(architecture.inputs, inputs, strict=True))
            batch_target = target[batch]
            if noise is not None:
                beats, batch_target = mixed(
                    augmented(beats, architecture.window.before, noise, order),
                    batch_target,
                    architecture.kinds,
                    order,
                )
            losses = cross_entropy(network(*beats.values()), batch_target, reduction="none")
            loss = (weight[batch] * losses).mean()
            torch.autograd.backward(
                loss + _proximal_term(network, start, plan.proximal_mu)
                if plan.proximal_mu
                else loss
            )
            optimiser.step()
            loss_sum += loss.item() * len(batch)
    return loss_sum / max(len(examples), 1)


def batches(examples: int, batch_size: int) -> int:
    """Return the number of steps in an epoch, for a number of examples."""
    return len(batch_ends(examples, batch_size)) + 1


def batch_ends(examples: int, batch_size: int) -> list[int]:
    """Return the index at which each batch except the last one ends.

    A remainder of fewer than `LEAST_IN_A_STEP` beats is added to the last full batch.

    Parameters
    ----------
    examples : int
        Number of examples.
    batch_size : int
        Beats in each batch.
    """
    ends = list(range(batch_size, examples, batch_size))
    if ends and examples - ends[-1] < min(LEAST_IN_A_STEP, batch_size):
        ends.pop()
    return ends


def _proximal_term(network: nn.Module, start: list[Tensor], mu: float) -> Tensor:
    """Return FedProx's proximal term (Li et al., MLSys 2020).

    It is mu / 2 times the squared distance from the weights at the start of the round.
    """
    squared_distances = [
        torch.sum((weights - start_weights) ** 2)
        for weights, start_weights in zip(network.parameters(), start, strict=True)
    ]
    return mu / 2 * torch.stack(squared_distances).sum()


@dataclass(frozen=True)
class Measured:
    """Figures of a network on labelled beats.

    `ecgfl evaluate` computes the figures of EC57 instead.

    Attributes
    ----------
    beats, pvcs : int
        Numbers of beats and of PVCs.
    true_positives, false_positives : int
        Numbers of PVCs and of other beats that were called V.
    loss : float
        Mean binary cross-entropy.
    others_by_logit, pvcs_by_logit : array of int64
        Numbers of beats in each bin of the logit, shape (COUNTS,); see
        `models.calibration.counted`.
    """

    beats: int
    pvcs: int
    true_positives: int
    false_positives: int
    loss: float
    others_by_logit: NDArray[np.int64]
    pvcs_by_logit: NDArray[np.int64]

    def with_more(self, other: "Measured") -> "Measured":
        """Return the figures of both sets of beats together."""
        beats = self.beats + other.beats
        if not beats:
            return self
        return Measured(
            beats,
            self.pvcs + other.pvcs,
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            (self.loss * self.beats + other.loss * other.beats) / beats,
            self.others_by_logit + other.others_by_logit,
            self.pvcs_by_logit + other.pvcs_by_logit,
        )

    @property
    def sensitivity(self) -> float | None:
        """Share of the PVCs that were called V, from 0 to 1; None without PVCs."""
        return self.true_positives / self.pvcs if self.pvcs else None

    @property
    def precision(self) -> float | None:
        """Share of PVCs among the beats called V, from 0 to 1; None if no beat was called V."""
        called = self.true_positives + self.false_positives
        return self.true_positives / called if called else None


NOTHING = Measured(0, 0, 0, 0, 0.0, *(counted(np.empty(0, np.float32)) for _ in range(2)))
"""Figures of no beats."""


def measure(
    network: nn.Module,
    parts: Iterable[Examples],
    calibration: Calibration = UNCALIBRATED,
    threshold: float = USUAL_THRESHOLD,
) -> Measured:
    """Measure a network on labelled beats, one part after another.

    Parameters
    ----------
    network : torch.nn.Module
        The network.
    parts : iterable of Examples
        The beats.
    calibration : Calibration
        Converts logits to probabilities.
    threshold : float
        Smallest probability at which a beat is called V, from 0 to 1.

    Returns
    -------
    Measured
        Figures of all parts together.
    """
    total = NOTHING
    for examples in parts:
        if len(examples):
            total = total.with_more(_measured(network, examples, calibration, threshold))
    return total


def _measured(
    network: nn.Module, examples: Examples, calibration: Calibration, threshold: float
) -> Measured:
    """Return the figures of a network on examples, of which there is at least one."""
    values = logits(network, examples.inputs())
    target = torch.from_numpy(examples.is_pvc.astype(np.float32))
    called = calibration.probabilities(values) >= threshold
    return Measured(
        beats=len(examples),
        pvcs=int(examples.is_pvc.sum()),
        true_positives=int(np.sum(called & examples.is_pvc)),
        false_positives=int(np.sum(called & ~examples.is_pvc)),
        loss=float(binary_cross_entropy_with_logits(torch.from_numpy(values), target)),
        others_by_logit=counted(values[~examples.is_pvc]),
        pvcs_by_logit=counted(values[examples.is_pvc]),
    )
