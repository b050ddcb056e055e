"""Define a release step.

A release passes the site sides of the steps in the order of `chain.RELEASE_STEPS`, and the updates
of a round pass the coordinator sides in the opposite order.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.policy import Policy


class RunSettings(Protocol):
    """Settings of a run that steps use. `RunPlan` has them."""

    @property
    def max_update_ratio(self) -> float:
        """Largest norm of an update, as a multiple of the median of the round."""
        ...

    @property
    def max_weight_ratio(self) -> float:
        """Largest weight of a site in a mean, as a multiple of the median."""
        ...


@dataclass(frozen=True)
class SiteUpdate:
    """The trained weights of one site, or of several sites that a step has combined.

    Attributes
    ----------
    sites
        Names of the sites.
    weights
        Weights, shape (n,), float32.
    examples
        Number of beats that were trained on, as reported.
    beats
        Number of beats that the update counts for.
    """

    sites: tuple[str, ...]
    weights: NDArray[np.float32]
    examples: int
    beats: float


@dataclass(frozen=True)
class RoundUpdates:
    """The updates of one round on their way through the coordinator's steps.

    Attributes
    ----------
    start
        The global weights from which the sites trained, shape (n,).
    updates
        The updates, in the order of the sites' names.
    left_out
        For each site that a step has left out: why.
    """

    start: NDArray[np.float32]
    updates: Sequence[SiteUpdate]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def sites(self) -> list[str]:
        """Names of the sites whose training is in the updates."""
        return [name for update in self.updates for name in update.sites]


class ReleaseStep(ABC):
    """A step that shapes what leaves a site. A subclass overrides one side, or both.

    Attributes
    ----------
    name
        Name of the step in requests and messages.
    has_two_sides
        Whether the coordinator must know that the sites apply the step. Its requests name such
        steps, and a site refuses a request with other steps than its own.
    needs_single_updates
        Whether the coordinator side compares the updates of single sites. Such a step is left out
        of a run in which another step hides them.
    hides_single_updates
        Whether the coordinator sees only a combination of the updates after this step.
    """

    name: ClassVar[str]
    has_two_sides: ClassVar[bool] = False
    needs_single_updates: ClassVar[bool] = False
    hides_single_updates: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def for_site(cls, policy: Policy) -> Self | None:
        """Return the step as the policy of a site demands it; None if it does not."""

    @classmethod
    @abstractmethod
    def for_run(cls, settings: RunSettings) -> Self | None:
        """Return the step as a run demands it; None if it does not."""

    def shape(self, release: Release) -> Release:
        """Shape a release at the site."""
        return release

    def restore(self, updates: RoundUpdates) -> RoundUpdates:
        """Process the updates of a round at the coordinator."""
        return updates
