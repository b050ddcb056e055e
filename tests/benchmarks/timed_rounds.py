"""What a run's rounds took, and the rows of the table that tells it."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

COLUMNS = (
    "set-up",
    "round",
    "slowest training",
    "beyond it",
    "beyond training and measuring",
    "first round",
    "submit to end",
)


@dataclass(frozen=True)
class RoundTime:
    """Seconds. wall : from the beginning of the round to that of the next. training, measuring : of the slowest site."""

    wall: float
    training: float
    measuring: float

    @property
    def beyond_training(self) -> float:
        return self.wall - self.training

    @property
    def beyond_work(self) -> float:
        return self.beyond_training - self.measuring


@dataclass(frozen=True)
class TimedRun:
    """seconds : from submitting the run (or, with ecgfl, starting the sites) until all is over. rounds : all but the last one."""

    seconds: float
    rounds: list[RoundTime]


def row(name: str, run: TimedRun) -> list[str]:
    """The first round stands alone: in it, programs load what they need for the first time."""
    first, *later = run.rounds
    return [
        name,
        f"{median(each.wall for each in later):.2f}",
        f"{median(each.training for each in later):.2f}",
        _spread(each.beyond_training for each in later),
        _spread(each.beyond_work for each in later),
        f"{first.beyond_training:.2f}",
        f"{run.seconds:.0f}",
    ]


def _spread(values: Iterable[float]) -> str:
    found = list(values)
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
