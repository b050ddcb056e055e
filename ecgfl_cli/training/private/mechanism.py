"""Train a network with differential privacy.

The protected unit is a patient or a training row. In each step every unit takes part with a fixed
probability (Poisson sampling), the gradient of each is clipped to a norm C, and Gaussian noise of
standard deviation z C is added to the sum of the gradients. The noisy sum is divided by a number
that does not depend on the data. This is DP-SGD (Abadi et al., CCS 2016); for patients, the patient
takes the place of the example (McMahan et al., ICLR 2018).

No batch is mixed across units, and no normalisation uses more than one unit.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgfl_cli.models.architecture import Architecture, BeatInput
from ecgfl_cli.site.privacy_policy import Trained
from ecgfl_cli.training.augmentation import augmented, noise_samples
from ecgfl_cli.training.examples import Examples
from ecgfl_cli.training.private.clipping import patient_sums, row_sums
from ecgfl_cli.training.private.plan import PrivatePlan
from ecgfl_cli.training.private.random_stream import RandomStream


def train_privately(
    network: nn.Module,
    architecture: Architecture,
    examples: Examples,
    plan: PrivatePlan,
    patients: NDArray[np.int64],
) -> None:
    """Train a network in place with differential privacy.

    Parameters
    ----------
    network : torch.nn.Module
        The network, with the global weights.
    architecture : Architecture
        Its architecture.
    examples : Examples
        The training beats.
    plan : PrivatePlan
        How to train.
    patients : array of int64, shape (p,)
        The patients that are used, as numbered in `examples.patient`.
    """
    torch.set_num_threads(plan.threads)
    stream = RandomStream()
    torch.manual_seed(stream.seed())
    parameters = _trained_parameters(network, architecture, plan.trained)
    optimiser = torch.optim.Adam(parameters, lr=plan.learning_rate)
    network.train()
    _switch_dropout_off(network)
    read = _ExampleReader(examples, architecture, stream)
    units, sums = (
        (patients, patient_sums(network, parameters, read, examples, plan.max_grad_norm))
        if plan.unit == "patient"
        else (
            np.flatnonzero(np.isin(examples.patient, patients)),
            row_sums(network, parameters, read, plan.max_grad_norm),
        )
    )
    scale = plan.sampling * plan.nominal_units
    for _ in range(plan.steps):
        sampled = units[stream.sampled(len(units), plan.sampling)]
        total = sums(sampled)
        noise = torch.from_numpy(stream.normal(total.numel()))
        gradient = (total + plan.noise_multiplier * plan.max_grad_norm * noise) / scale
        _set_gradient(parameters, gradient.float())
        optimiser.step()


class _ExampleReader:
    """Reads rows as the inputs of the network, augmented if the architecture is.

    Each row is augmented on its own: the changes of a row do not depend on other rows.
    """

    def __init__(
        self, examples: Examples, architecture: Architecture, stream: RandomStream
    ) -> None:
        self._examples = examples
        self._architecture = architecture
        self._random = torch.Generator().manual_seed(stream.seed())
        self._noise = noise_samples(stream.seed()) if architecture.augmented else None

    def __call__(self, rows: NDArray[np.int64]) -> tuple[list[Tensor], Tensor]:
        """Return the inputs, each of shape (k, width), and the kinds, shape (k,), of some rows."""
        values = map(torch.from_numpy, self._examples.inputs(rows))
        inputs: dict[BeatInput, Tensor] = dict(zip(self._architecture.inputs, values, strict=True))
        if self._noise is not None:
            before = self._architecture.window.before
            inputs = augmented(inputs, before, self._noise, self._random)
        return list(inputs.values()), torch.from_numpy(self._examples.kind[rows])


def _trained_parameters(
    network: nn.Module, architecture: Architecture, trained: Trained
) -> list[nn.Parameter]:
    """Freeze the rest of the network, and return the parameters of the trained part."""
    prefixes = architecture.parts.get(trained, ("",))
    parameters = []
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(prefixes))
        if parameter.requires_grad:
            parameters.append(parameter)
    return parameters


def _switch_dropout_off(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def _set_gradient(parameters: list[nn.Parameter], gradient: Tensor) -> None:
    """Divide a gradient, shape (weights,), among the parameters."""
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, part in zip(parameters, torch.split(gradient, sizes), strict=True):
        parameter.grad = part.reshape(parameter.shape)
