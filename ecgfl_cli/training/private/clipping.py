"""Sum the clipped gradients of patients or of training rows."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ecgfl_cli.training.examples import Examples

MOST_ROWS = 256
"""Largest number of rows of a patient in a step; they are chosen anew in each step."""

ROWS_AT_ONCE = 1024
"""Number of rows in one pass through the network."""

Read = Callable[[NDArray[np.int64]], tuple[list[Tensor], Tensor]]
"""Takes rows, and returns the network's inputs and the kinds of the beats."""

Sums = Callable[[NDArray[np.int64]], Tensor]
"""Takes the sampled units, and returns the sum of their clipped gradients, shape (weights,)."""


def patient_sums(
    network: nn.Module,
    parameters: list[nn.Parameter],
    read: Read,
    examples: Examples,
    max_norm: float,
) -> Sums:
    """Return a function that sums the clipped gradients of patients.

    The gradient of a patient is that of the mean loss over the patient's rows, each with its weight
    relative to the patient's other rows. It depends on no other patient.

    Parameters
    ----------
    network : torch.nn.Module
        The network.
    parameters : list of torch.nn.Parameter
        The parameters that are trained.
    read : callable
        Reads rows.
    examples : Examples
        The training beats.
    max_norm : float
        Largest norm of the gradient of a patient.
    """
    order = np.argsort(examples.patient, kind="stable")
    numbers, begins = np.unique(examples.patient[order], return_index=True)
    rows_of = dict(zip(numbers.tolist(), np.split(order, begins[1:]), strict=True))

    def total(sampled: NDArray[np.int64]) -> Tensor:
        summed = _zeros(parameters)
        for patient in sampled.tolist():
            rows = rows_of[patient]
            if len(rows) > MOST_ROWS:
                rows = rows[torch.randperm(len(rows))[:MOST_ROWS].numpy()]
            inputs, kinds = read(rows)
            losses = cross_entropy(network(*inputs), kinds, reduction="none")
            weights = torch.from_numpy(examples.weight[rows])
            loss = (losses * weights).sum() / weights.sum()
            gradient = _flat(torch.autograd.grad(loss, parameters))
            summed += clipped(gradient, max_norm)
        return summed

    return total


def row_sums(
    network: nn.Module, parameters: list[nn.Parameter], read: Read, max_norm: float
) -> Sums:
    """Return a function that sums the clipped gradients of rows.

    It uses ghost clipping: Li et al., Large language models can be strong differentially private
    learners, ICLR 2022, as implemented in Opacus.

    Parameters
    ----------
    network, parameters, read, max_norm
        As for `patient_sums`; max_norm is of the gradient of a row.
    """

    def total(sampled: NDArray[np.int64]) -> Tensor:
        summed = _zeros(parameters)
        if not len(sampled):
            return summed
        module = _ghost_clipping()(
            network, max_grad_norm=max_norm, loss_reduction="sum", use_ghost_clipping=True
        )
        try:
            for rows in np.array_split(sampled, -(-len(sampled) // ROWS_AT_ONCE)):
                inputs, kinds = read(rows)
                with warnings.catch_warnings():
                    # torch warns about the hooks of Opacus, which need the outputs' gradients only.
                    warnings.filterwarnings("ignore", "Full backward hook is firing")
                    summed += _flat(_clipped_sum(module, inputs, kinds, parameters))
        finally:
            module.to_standard_module()
            for parameter in parameters:
                parameter.grad = None
        return summed

    return total


def _ghost_clipping() -> Any:
    """Import and return Opacus's wrapper of a network for ghost clipping.

    The import takes seconds and adds a handler to the root logger, which is removed here.
    """
    handlers = list(logging.root.handlers)
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    logging.root.handlers[:] = handlers
    return GradSampleModuleFastGradientClipping


def _clipped_sum(
    module: Any,
    inputs: list[Tensor],
    kinds: Tensor,
    parameters: list[nn.Parameter],
) -> tuple[Tensor, ...]:
    """Return the sum of the clipped gradients of some rows, one tensor for each parameter."""
    module.enable_hooks()
    losses = cross_entropy(module(*inputs), kinds, reduction="none")
    torch.autograd.backward(losses.sum(), retain_graph=True)
    share = module.get_clipping_coef()
    module.disable_hooks()
    return torch.autograd.grad((share * losses).sum(), parameters)


def clipped(gradient: Tensor, max_norm: float) -> Tensor:
    """Return a gradient, shape (weights,), scaled down to a norm of at most `max_norm`."""
    norm = float(torch.linalg.vector_norm(gradient))
    return gradient * (max_norm / norm) if norm > max_norm else gradient


def _flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in gradients]).double()


def _zeros(parameters: list[nn.Parameter]) -> Tensor:
    return torch.zeros(sum(each.numel() for each in parameters), dtype=torch.float64)
