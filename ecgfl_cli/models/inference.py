"""What a network says about many beats, a batch at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH = 4096


def logits(network: "nn.Module", inputs: Sequence[NDArray[np.float32]], chosen: NDArray[np.int64]) -> "torch.Tensor":
    """Logits of the chosen beats, shape (len(chosen), 2). inputs : the architecture's, each with all beats as first dimension."""
    import torch

    network.eval()
    parts = [torch.empty(0, 2)]
    with torch.inference_mode():
        for start in range(0, chosen.size, BATCH):
            batch = chosen[start : start + BATCH]
            parts.append(network(*(torch.from_numpy(array[batch]) for array in inputs)))
        return torch.cat(parts)
