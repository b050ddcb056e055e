"""Limit the weight of one site in a mean, whatever number of beats it claims."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from ecgfl_cli.federation.release_steps.step import ReleaseStep, RoundUpdates, RunSettings
from ecgfl_cli.site.policy import Policy


class CapBeats(ReleaseStep):
    """Limits the beats that an update counts for to a multiple of the usual number of the round.

    Parameters
    ----------
    max_ratio
        The multiple; see `usual_count`.
    """

    name = "cap-beats"
    needs_single_updates = True

    def __init__(self, max_ratio: float) -> None:
        self._max_ratio = max_ratio

    @classmethod
    def for_site(cls, policy: Policy) -> None:
        """Return None: there is no site side."""

    @classmethod
    def for_run(cls, settings: RunSettings) -> Self:
        """Return the step; every run applies it."""
        return cls(settings.max_weight_ratio)

    def restore(self, updates: RoundUpdates) -> RoundUpdates:
        """Set the number of beats that each update counts for to its capped number."""
        beats = capped([update.examples for update in updates.updates], self._max_ratio)
        return replace(
            updates,
            updates=[
                replace(update, beats=count)
                for update, count in zip(updates.updates, beats, strict=True)
            ],
        )


def usual_count(counts: Sequence[float]) -> float:
    """Return the median of the sites' positive counts, or the smaller one if there are two.

    The median of two counts is their mean, which either site can raise without limit. If there are
    three or more, a minority of the sites cannot raise the median above the largest honest count.

    Parameters
    ----------
    counts
        Count of each site.

    Returns
    -------
    float
        The usual count; 0 if no count is positive.
    """
    positive = [count for count in counts if count > 0]
    if not positive:
        return 0.0
    return float(min(positive) if len(positive) == 2 else statistics.median(positive))


def capped(counts: Sequence[float], max_ratio: float) -> list[float]:
    """Return the sites' counts, each limited to `max_ratio` times the usual count.

    With this limit, one of n sites of equal size has a share of at most
    max_ratio / (max_ratio + n - 1) in a weighted mean, whatever number it claims. Without it, the
    share approaches 1 as the claimed number grows.

    Parameters
    ----------
    counts
        Count of each site.
    max_ratio
        Largest count, as a multiple of the usual count; see `usual_count`.

    Returns
    -------
    list of float
        Limited count of each site.
    """
    largest = max_ratio * usual_count(counts)
    return [min(count, largest) for count in counts]
