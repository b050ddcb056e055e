"""Define how the coordinator combines the weights that the sites trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Update:
    """The weights of one site after its local training.

    Attributes
    ----------
    weights
        Weights, shape (n,), float32.
    beats
        Number of beats that the site counts for.
    """

    weights: NDArray[np.float32]
    beats: float


@dataclass(frozen=True)
class Moments:
    """State of a server optimiser: m and v of Reddi et al., ICLR 2021.

    Attributes
    ----------
    strategy
        Name of the strategy.
    first
        Running mean of a round's change of the weights, shape (n,), float64.
    second
        Running mean of the square of the change, shape (n,), float64.
    """

    strategy: str
    first: NDArray[np.float64]
    second: NDArray[np.float64]


class Aggregator(Protocol):
    """Combines the weights of the sites: a strategy."""

    needs_single_updates: bool
    """Whether it must see the weights of each site. If not, their weighted sum is enough."""

    proximal_mu: float
    """Weight of FedProx's proximal term in the sites' loss; 0 for the other strategies."""

    def aggregate(
        self, number: int, start: NDArray[np.float32], updates: Sequence[Update]
    ) -> NDArray[np.float32]:
        """Return the next global weights, shape (n,).

        Parameters
        ----------
        number
            Number of the round in the run, from 1.
        start
            The global weights from which the sites trained, shape (n,).
        updates
            The updates of the sites, in the order of their names.
        """
        ...

    @property
    def moments(self) -> Moments | None:
        """State to keep until the next round; None if the strategy has none."""
        ...
