"""Convert the weights of a network to one flat vector, and back."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.errors import ModelRejected

if TYPE_CHECKING:
    from torch import nn


def pack(network: "nn.Module") -> NDArray[np.float32]:
    """Return all weights in the order of the state dict, shape (n,), float32."""
    return np.concatenate(
        [
            value.detach().cpu().numpy().astype(np.float32).ravel()
            for value in network.state_dict().values()
        ]
    )


def unpack(network: "nn.Module", vector: NDArray[np.float32]) -> None:
    """Load a flat vector into a network.

    Raises
    ------
    ModelRejected
        Its length is wrong, or a value is not finite.
    """
    import torch

    state = network.state_dict()
    expected = sum(value.numel() for value in state.values())
    if vector.shape != (expected,):
        raise ModelRejected(
            f"weight vector of shape {vector.shape}, this architecture has {expected} weights",
            "Both sides must run the same ecgfl version",
        )
    if not np.isfinite(vector).all():
        raise ModelRejected(
            "weight vector with values that are not finite",
            "The model is broken; keep the present one",
        )
    start = 0
    filled = {}
    for name, value in state.items():
        part = vector[start : start + value.numel()].astype(np.float32)
        filled[name] = torch.from_numpy(part.reshape(value.shape)).to(value.dtype)
        start += value.numel()
    network.load_state_dict(filled)
