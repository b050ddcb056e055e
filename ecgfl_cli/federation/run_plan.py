"""What a coordinator wants of a run, and what it tells of it."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ecgfl_cli.models.manifest import Metrics

SERVER_OPTIMISERS = ("fedadam", "fedyogi")
"""The strategies that remember something from round to round."""


@dataclass(frozen=True)
class RunPlan:
    """min_sites : sites that must take part in every round. phase_timeout : seconds for each training or evaluation phase.

    proximal_mu, server_learning_rate : None takes the strategy's own, where it has one.
    """

    architecture: str
    strategy: str
    rounds: int
    min_sites: int
    local_epochs: int
    learning_rate: float
    last_learning_rate: float
    batch_size: int
    seed: int
    phase_timeout: float
    proximal_mu: float | None = None
    server_learning_rate: float | None = None

    def learning_rate_in(self, this_round: int) -> float:
        """From `learning_rate` in the first round along half a cosine to `last_learning_rate` in the last.

        Source: Loshchilov & Hutter, SGDR, ICLR 2017, without restarts.
        """
        done = (this_round - 1) / max(self.rounds - 1, 1)
        return self.last_learning_rate + (self.learning_rate - self.last_learning_rate) * (1 + math.cos(math.pi * done)) / 2

    @property
    def optimiser(self) -> str | None:
        """The strategy where it is a server optimiser, None for the others."""
        return self.strategy if self.strategy in SERVER_OPTIMISERS else None


@dataclass
class RoundResult:
    """One round. metrics : gross over the sites' held-out patients. dropped : replies that were left out, with the reason."""

    round: int
    version: str
    sites: list[str]
    examples: int
    loss: float | None
    metrics: Metrics | None = None
    dropped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "metrics": None if self.metrics is None else self.metrics.model_dump()}


Report = Callable[[str], None]
"""Takes a line for the person who watches."""
