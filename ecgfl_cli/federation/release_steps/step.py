"""Define a release step and the data that it processes.

The site sides of the steps process a release in the order of `chain.RELEASE_STEPS`. The coordinator
sides process the updates of a round in the opposite order.
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
    """Settings of a run that release steps use; implemented by `RunPlan`."""

    @property
    def max_update_ratio(self) -> float:
        """Largest norm of an update, as a multiple of the median of the round."""
        ...

    @property
    def max_weight_ratio(self) -> float:
        """Largest weight of a site in a mean, as a multiple of the usual weight of the round."""
        ...

    @property
    def secagg(self) -> bool:
        """Whether the coordinator learns only the sum of the updates."""
        ...


@dataclass(frozen=True)
class SiteUpdate:
    """The trained weights of one site, or of several sites whose updates a step has combined.

    Attributes
    ----------
    sites
        Names of the sites.
    weights
        Weights, shape (n,), float32.
    examples
        Number of training beats, as reported.
    beats
        Number of beats that the update counts for in a mean.
    """

    sites: tuple[str, ...]
    weights: NDArray[np.float32]
    examples: int
    beats: float


@dataclass(frozen=True)
class RoundUpdates:
    """The updates of one round, which the coordinator sides of the steps process.

    Attributes
    ----------
    start
        The global weights from which the sites trained, shape (n,), float32.
    updates
        The updates, in the order of the sites' names.
    left_out
        Site whose update a step has left out -> the reason.
    """

    start: NDArray[np.float32]
    updates: Sequence[SiteUpdate]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def sites(self) -> list[str]:
        """Names of the sites whose weights are in the updates."""
        return [name for update in self.updates for name in update.sites]


class ReleaseStep(ABC):
    """A step that shapes what leaves a site.

    A subclass overrides `shape` (the site side), `restore` (the coordinator side), or both.

    Attributes
    ----------
    name
        Name of the step in requests and messages.
    has_two_sides
        Whether the coordinator must know that the sites apply the step. Requests name such steps,
        and a site refuses a request that does not name exactly its own.
    needs_single_updates
        Whether the coordinator side compares the updates of single sites. Such a step is left out
        of a run in which another step hides these updates.
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
        """Return the step with the settings of a site's policy; None if the site has none."""

    @classmethod
    @abstractmethod
    def for_run(cls, settings: RunSettings) -> Self | None:
        """Return the step with the settings of a run; None if the run has none."""

    def shape(self, release: Release) -> Release:
        """Return a release in the form in which it may leave the site."""
        return release

    def restore(self, updates: RoundUpdates) -> RoundUpdates:
        """Return the updates of a round after the coordinator side of this step."""
        return updates
