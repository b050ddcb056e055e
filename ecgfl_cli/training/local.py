"""One site's share of a round: some epochs of Adam, with decoupled weight decay, from the global weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.models.architecture import Architecture, BeatInput
from ecgfl_cli.models.calibration import UNCALIBRATED, USUAL_THRESHOLD, Calibration, counted
from ecgfl_cli.models.inference import logits
from ecgfl_cli.training.augmentation import augmented, mixed, noise_tapes
from ecgfl_cli.training.examples import Examples

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHT_DECAY = 0.02
"""Loshchilov & Hutter, ICLR 2019. (Records' mean log loss, patients held out of training: 0.335 to 0.322; a seed: 0.015)"""

LEAST_IN_A_STEP = 16
"""Smallest number of beats in a step. The gradient of a single beat reveals its shape, and one beat more than a whole number of
batches would leave a last batch of one beat."""


@dataclass(frozen=True)
class TrainingPlan:
    """epochs : passes over the examples. learning_rate : Adam's. batch_size : beats. seed : of the order of the beats.

    threads : processor threads that may be used. proximal_mu : weight of FedProx's proximal term, 0 for none.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    threads: int = 1
    proximal_mu: float = 0.0


def train(
    network: "nn.Module", architecture: Architecture, examples: Examples, plan: TrainingPlan
) -> float:
    """Train in place with weighted cross-entropy; returns its mean in the last epoch, the proximal term not counted."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(plan.threads)
    target, weight = torch.from_numpy(examples.kind), torch.from_numpy(examples.weight)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=WEIGHT_DECAY
    )
    order = torch.Generator().manual_seed(plan.seed)
    torch.manual_seed(plan.seed)  # of the dropout
    noise = noise_tapes(plan.seed) if architecture.augmented else None
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
            wanted = target[batch]
            if noise is not None:
                beats, wanted = mixed(
                    augmented(beats, architecture.window.before, noise, order),
                    wanted,
                    architecture.kinds,
                    order,
                )
            loss = (
                weight[batch] * cross_entropy(network(*beats.values()), wanted, reduction="none")
            ).mean()
            torch.autograd.backward(
                loss + _proximal_term(network, start, plan.proximal_mu)
                if plan.proximal_mu
                else loss
            )
            optimiser.step()
            loss_sum += loss.item() * len(batch)
    return loss_sum / max(len(examples), 1)


def batches(examples: int, batch_size: int) -> int:
    """Return the number of steps in an epoch."""
    return len(batch_ends(examples, batch_size)) + 1


def batch_ends(examples: int, batch_size: int) -> list[int]:
    """Return where each batch but the last ends. A remainder of fewer than `LEAST_IN_A_STEP` beats is added to the last batch."""
    ends = list(range(batch_size, examples, batch_size))
    if ends and examples - ends[-1] < min(LEAST_IN_A_STEP, batch_size):
        ends.pop()
    return ends


def _proximal_term(network: "nn.Module", start: "list[Tensor]", mu: float) -> "Tensor":
    """mu/2 times the squared distance from the weights that the round began with (FedProx: Li et al., MLSys 2020)."""
    import torch

    moved = [
        torch.sum((now - before) ** 2)
        for now, before in zip(network.parameters(), start, strict=True)
    ]
    return mu / 2 * torch.stack(moved).sum()


@dataclass(frozen=True)
class Measured:
    """How a network does on labelled beats (annotated ones: for EC57 figures see `ecgfl evaluate`).

    others_by_logit, pvcs_by_logit : counts as `models.calibration` wants them.
    """

    beats: int
    pvcs: int
    true_positives: int
    false_positives: int
    loss: float
    others_by_logit: NDArray[np.int64]
    pvcs_by_logit: NDArray[np.int64]

    def with_more(self, other: "Measured") -> "Measured":
        """Both together."""
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
        return self.true_positives / self.pvcs if self.pvcs else None

    @property
    def precision(self) -> float | None:
        called = self.true_positives + self.false_positives
        return self.true_positives / called if called else None


LARGEST_LOSS = 1e6
"""With more than this, weights are numbers but useless ones."""

NOTHING = Measured(0, 0, 0, 0, 0.0, *(counted(np.empty(0, np.float32)) for _ in range(2)))
"""Measured on no beats."""


def measure(
    network: "nn.Module",
    parts: Iterable[Examples],
    calibration: Calibration = UNCALIBRATED,
    threshold: float = USUAL_THRESHOLD,
) -> Measured:
    """Loss and counts on labelled beats, part by part."""
    total = NOTHING
    for examples in parts:
        if len(examples):
            total = total.with_more(_measured(network, examples, calibration, threshold))
    return total


def _measured(
    network: "nn.Module", examples: Examples, calibration: Calibration, threshold: float
) -> Measured:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    found = logits(network, examples.inputs())
    target = torch.from_numpy(examples.is_pvc.astype(np.float32))
    called = calibration.probabilities(found) >= threshold
    return Measured(
        beats=len(examples),
        pvcs=int(examples.is_pvc.sum()),
        true_positives=int(np.sum(called & examples.is_pvc)),
        false_positives=int(np.sum(called & ~examples.is_pvc)),
        loss=float(binary_cross_entropy_with_logits(torch.from_numpy(found), target)),
        others_by_logit=counted(found[~examples.is_pvc]),
        pvcs_by_logit=counted(found[examples.is_pvc]),
    )
