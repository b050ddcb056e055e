"""What a coordinator wants of a run, and what it tells of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ecgfl_cli.models.manifest import Metrics


@dataclass(frozen=True)
class RunPlan:
    """min_sites : sites that must take part in every round. phase_timeout : seconds for each training or evaluation phase."""

    architecture: str
    strategy: str
    rounds: int
    min_sites: int
    local_epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    phase_timeout: float


@dataclass
class RoundResult:
    """One round. metrics : gross over the sites' held-out patients. dropped : replies that were left out, with the reason."""

    round: int
    version: str
    sites: list[str]
    examples: int
    loss: float
    metrics: Metrics | None = None
    dropped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "metrics": None if self.metrics is None else self.metrics.model_dump()}


Report = Callable[[str], None]
"""Takes a line for the person who watches."""
