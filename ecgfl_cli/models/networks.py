"""Build the network of a model version, and check that its weights are those of the manifest."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import Manifest, check_weights
from ecgfl_cli.models.packing import pack, unpack

if TYPE_CHECKING:
    from torch import Tensor, nn


def network_of(manifest: Manifest, vector: NDArray[np.float32]) -> "nn.Module":
    """Return the network with a received weight vector after checking its hash and shape.

    Raises
    ------
    ModelRejected
        The hash, the shape or the architecture is wrong.
    """
    check_weights(manifest, vector)
    network = _built(manifest)
    unpack(network, vector)
    return network


def network_with(manifest: Manifest, tensors: "dict[str, Tensor]") -> "nn.Module":
    """Return the network with named tensors, ready to predict, after checking their hash.

    Raises
    ------
    ModelRejected
        The hash or the architecture is wrong.
    RuntimeError
        The tensors do not fit the architecture.
    """
    network = _built(manifest)
    network.load_state_dict(tensors)
    check_weights(manifest, pack(network))
    network.eval()
    return network


def _built(manifest: Manifest) -> "nn.Module":
    try:
        return architecture(manifest.architecture).build()
    except UsageError as error:
        raise ModelRejected(
            f"model {manifest.version}: this ecgfl has no architecture '{manifest.architecture}'",
            "Install the coordinator's version",
        ) from error
