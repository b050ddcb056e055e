"""The cost of the rounds of a run, and a row for each run of the benchmark's table."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from cost_samples import Cost

COLUMNS = (
    "programs",
    "round s",
    "slowest training s",
    "beyond training s",
    "beyond training and evaluation s",
    "first round s",
    "whole run s",
    "coordinator CPU s a round",
    "sites CPU s a round",
    "KiB a round",
)
KIB = 1024


@dataclass(frozen=True)
class RoundCost:
    """Cost of one round.

    Attributes
    ----------
    wall
        Seconds from the beginning of the round to the beginning of the next.
    training, evaluation
        Seconds of the slowest site.
    cost
        Processor seconds and bytes in the same time.
    """

    wall: float
    training: float
    evaluation: float
    cost: Cost

    @property
    def beyond_training(self) -> float:
        """Seconds without the slowest training."""
        return self.wall - self.training

    @property
    def beyond_work(self) -> float:
        """Seconds without the slowest training and evaluation."""
        return self.beyond_training - self.evaluation


@dataclass(frozen=True)
class TimedRun:
    """A run.

    Attributes
    ----------
    seconds
        From the submission of the run (with ecgfl, from the start of the sites) to its end.
    rounds
        All rounds but the last one.
    """

    seconds: float
    rounds: list[RoundCost]


def row(name: str, run: TimedRun) -> list[str]:
    """Return a row of the table: medians over all rounds but the first and the last.

    The first round has its own column, because programs load their libraries in it.
    """
    first, *later = run.rounds
    return [
        name,
        f"{median(result.wall for result in later):.2f}",
        f"{median(result.training for result in later):.2f}",
        _spread(result.beyond_training for result in later),
        _spread(result.beyond_work for result in later),
        f"{first.beyond_training:.2f}",
        f"{run.seconds:.0f}",
        f"{median(result.cost.coordinator for result in later):.2f}",
        f"{median(result.cost.sites for result in later):.2f}",
        f"{median(result.cost.bytes for result in later) / KIB:.0f}",
    ]


def _spread(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{median(ordered):.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"
