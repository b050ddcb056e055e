"""What a server optimiser remembers from round to round, kept for a run that is resumed."""

from pathlib import Path

import numpy as np

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.federation.aggregation import Moments
from ecgfl_cli.files import atomic_write_bytes

FIRST, SECOND, STRATEGY = "first", "second", "strategy"


class OptimiserStates:
    """A folder with one file a model version: the state after the round that made this model.

    A state is on the disk before its model is, and goes when the next model is there: a model is never without its state, and a
    state whose model a kill prevented is never looked at.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, version: str, moments: Moments) -> None:
        from safetensors.numpy import save

        self._folder.mkdir(parents=True, exist_ok=True)
        data = save({FIRST: moments.first, SECOND: moments.second}, {STRATEGY: moments.strategy})
        atomic_write_bytes(self._path(version), data)

    def of(self, version: str, length: int) -> Moments | None:
        """The state after the round that made this model, None where its strategy keeps none.

        Raises `UnusableInput` unless it is that of `length` weights.
        """
        from safetensors import SafetensorError, safe_open

        path = self._path(version)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                moments = Moments(
                    file.metadata()[STRATEGY], file.get_tensor(FIRST), file.get_tensor(SECOND)
                )
            for name, array in ((FIRST, moments.first), (SECOND, moments.second)):
                if (
                    array.shape != (length,)
                    or array.dtype != np.float64
                    or not np.isfinite(array).all()
                ):
                    raise ValueError(f"{name}: not {length} finite numbers")
            if (moments.second < 0).any():
                raise ValueError(f"{SECOND}: a mean of squares below 0")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise UnusableInput(
                f"{path}: not the state of a server optimiser: {error}",
                "Restore it from your backup; or delete it, and a new run starts from the model",
            ) from error
        return moments

    def forget_others(self, version: str) -> None:
        """Remove the states of all versions but this one."""
        for path in self._folder.glob(f"*{self._path(version).suffix}"):
            if path != self._path(version):
                path.unlink()

    def _path(self, version: str) -> Path:
        return self._folder / f"{version}.safetensors"
