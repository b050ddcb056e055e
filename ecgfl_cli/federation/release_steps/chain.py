"""List the release steps in their order, and select those of a site or of a run.

To add a step, write a file beside this one and add its class to `RELEASE_STEPS`.
"""

from collections.abc import Sequence

from ecgfl_cli.errors import PolicyRefused, UsageError
from ecgfl_cli.federation.aggregation import Aggregator
from ecgfl_cli.federation.release_steps.cap_beats import CapBeats
from ecgfl_cli.federation.release_steps.reject_outliers import RejectOutliers
from ecgfl_cli.federation.release_steps.secure_aggregation import SecureAggregation
from ecgfl_cli.federation.release_steps.step import ReleaseStep, RoundUpdates, RunSettings
from ecgfl_cli.federation.release_steps.withhold_figures import WithholdFigures
from ecgfl_cli.site.policy import Policy

RELEASE_STEPS: tuple[type[ReleaseStep], ...] = (
    WithholdFigures,
    SecureAggregation,
    CapBeats,
    RejectOutliers,
)
"""All release steps, in the order in which a site applies them. The coordinator applies its sides
in the opposite order."""


def site_steps(policy: Policy) -> list[ReleaseStep]:
    """Return the steps that a site applies to its releases, in their order."""
    return [
        step for step_class in RELEASE_STEPS if (step := step_class.for_site(policy)) is not None
    ]


def require_same_steps(steps: Sequence[ReleaseStep], requested: Sequence[str]) -> None:
    """Check that the coordinator expects exactly the steps that this site applies.

    Parameters
    ----------
    steps
        The steps of the site.
    requested
        Names of the steps in the coordinator's request.

    Raises
    ------
    PolicyRefused
        If the steps with two sides differ. Otherwise the coordinator would misread the weights, or
        this site would send them with less protection than its policy demands.
    """
    own = names_of(steps)
    if own != list(requested):
        raise PolicyRefused(
            f"the coordinator expects the release steps {list(requested)}, this site's policy "
            f"applies {own}",
            "Agree with the coordinator on the steps, then change [policy] in site.toml or the "
            "settings of the run; both sides need the same version of ecgfl",
        )


def names_of(steps: Sequence[ReleaseStep]) -> list[str]:
    """Return the names of those steps that have two sides, which a request must name."""
    return [step.name for step in steps if step.has_two_sides]


def coordinator_steps(settings: RunSettings) -> list[ReleaseStep]:
    """Return the steps of a run, in the order in which a site applies them.

    Steps that need the updates of single sites are left out if another step hides these.
    """
    steps = [
        step for step_class in RELEASE_STEPS if (step := step_class.for_run(settings)) is not None
    ]
    hidden = any(step.hides_single_updates for step in steps)
    return [step for step in steps if not (hidden and step.needs_single_updates)]


def require_compatible(strategy: str, aggregator: Aggregator, steps: Sequence[ReleaseStep]) -> None:
    """Check that no step hides what a strategy needs.

    Parameters
    ----------
    strategy
        Name of the strategy, for the message.
    aggregator
        The strategy.
    steps
        The steps of the run.

    Raises
    ------
    UsageError
        If the strategy needs single updates and a step hides them.
    """
    hiding = [step.name for step in steps if step.hides_single_updates]
    if hiding and aggregator.needs_single_updates:
        raise UsageError(
            f"--strategy {strategy} compares the updates of single sites, but the release step "
            f"{hiding[0]} hides them",
            f"Choose a strategy that averages, such as fedavg, or a run without {hiding[0]}",
        )


def restore(steps: Sequence[ReleaseStep], updates: RoundUpdates) -> RoundUpdates:
    """Return the updates of a round after the coordinator sides of the steps."""
    for step in reversed(steps):
        updates = step.restore(updates)
    return updates
