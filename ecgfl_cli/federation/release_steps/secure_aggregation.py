"""Send masked updates, of which the coordinator can only read the sum."""

from dataclasses import replace
from typing import Self

import numpy as np

from ecgfl_cli.federation.release_steps.reject_outliers import update_norm
from ecgfl_cli.federation.release_steps.step import ReleaseStep, RoundUpdates, RunSettings
from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.policy import Policy


class SecureAggregation(ReleaseStep):
    """Masks the update of a site, and checks the sum of all.

    Without masks, trained weights do not leave a site whose policy has this step. A site checks the
    norm of its own update, because the coordinator cannot.

    Parameters
    ----------
    max_ratio
        Largest norm of the mean of the updates, as a multiple of the norm of the global weights.
        The site side does not use it.
    """

    name = "secure-aggregation"
    has_two_sides = True
    hides_single_updates = True

    def __init__(self, max_ratio: float = 1.0) -> None:
        self._max_ratio = max_ratio

    @classmethod
    def for_site(cls, policy: Policy) -> Self | None:
        """Return the step if the policy requires it."""
        return cls() if policy.secagg == "required" else None

    @classmethod
    def for_run(cls, settings: RunSettings) -> Self | None:
        """Return the step if the run has secure aggregation."""
        return cls(settings.max_update_ratio) if settings.secagg else None

    def shape(self, release: Release) -> Release:
        """Return a release with a masked update instead of weights.

        Raises
        ------
        ValueError
            If the release has weights and no masks.
        """
        if release.weights is None:
            return release
        if release.masks is None or release.start is None:
            raise ValueError("trained weights without masks: nothing is sent")
        change = release.weights.astype(np.float64) - release.start
        masked = release.masks.applied(change, release.start)
        return replace(release, weights=None, masked=masked, masks=None)

    def restore(self, updates: RoundUpdates) -> RoundUpdates:
        """Leave out the sum if it is too large to be honest."""
        usual = float(np.linalg.norm(updates.start.astype(np.float64)))
        left_out = dict(updates.left_out)
        kept = []
        for update in updates.updates:
            norm = update_norm(update.weights, updates.start)
            if usual and norm > self._max_ratio * usual:
                problem = (
                    f"the mean of the sites' updates has the norm {norm:.3g}, more than "
                    f"{self._max_ratio:g} times that of the global weights, {usual:.3g}"
                )
                left_out |= dict.fromkeys(update.sites, problem)
            else:
                kept.append(update)
        return replace(updates, updates=kept, left_out=left_out)
