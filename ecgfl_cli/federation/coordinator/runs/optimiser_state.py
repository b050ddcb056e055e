"""Store the state of a server optimiser, so that a run can be resumed."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.federation.aggregation import Moments
from ecgfl_cli.files import atomic_write_bytes

FIRST = "first"
SECOND = "second"
STRATEGY = "strategy"
"""Names of the two tensors and of the metadata in a file."""


class OptimiserStates:
    """A folder with one file per model version: the state after the round that made the model.

    A state is written before its model and removed after the next model is written. Therefore every
    model has its state, and a state without a model (after a kill) is never read.

    Parameters
    ----------
    folder
        The folder. It may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, version: str, moments: Moments) -> None:
        """Write the state of a version."""
        self._folder.mkdir(parents=True, exist_ok=True)
        data = save({FIRST: moments.first, SECOND: moments.second}, {STRATEGY: moments.strategy})
        atomic_write_bytes(self._path(version), data)

    def load(self, version: str, length: int) -> Moments | None:
        """Return the state after the round that made a model.

        Parameters
        ----------
        version
            Version of the model.
        length
            Number of its weights.

        Returns
        -------
        Moments or None
            None if the model's strategy has no state.

        Raises
        ------
        UnusableInput
            The file is broken, or its state has another number of weights.
        """
        path = self._path(version)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                moments = Moments(
                    file.metadata()[STRATEGY], file.get_tensor(FIRST), file.get_tensor(SECOND)
                )
            _check(moments, length)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise UnusableInput(
                f"{path}: not the state of a server optimiser: {error}",
                "Restore it from your backup; or delete it, and a new run starts from the model",
            ) from error
        return moments

    def remove_others(self, version: str) -> None:
        """Remove the states of all other versions."""
        for path in self._folder.glob(f"*{self._path(version).suffix}"):
            if path != self._path(version):
                path.unlink()

    def _path(self, version: str) -> Path:
        return self._folder / f"{version}.safetensors"


def _check(moments: Moments, length: int) -> None:
    for name, array in ((FIRST, moments.first), (SECOND, moments.second)):
        is_vector = array.shape == (length,) and array.dtype == np.float64
        if not is_vector or not np.isfinite(array).all():
            raise ValueError(f"{name}: not {length} finite numbers")
    if (moments.second < 0).any():
        raise ValueError(f"{SECOND}: a mean of squares is negative")
