"""Build the strategy of a run."""

from ecgfl_cli.federation.aggregation import Aggregator, Moments
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.coordinator.runs.strategy_options import arguments_of
from ecgfl_cli.federation.flower.strategies import build_aggregator
from ecgfl_cli.federation.release_steps.chain import coordinator_steps, require_compatible


def aggregator_of(plan: RunPlan, moments: Moments | None = None) -> Aggregator:
    """Return the aggregator of a checked plan.

    Parameters
    ----------
    plan
        The plan.
    moments
        State of a server optimiser after the last round of a resumed run.

    Raises
    ------
    UsageError
        If the strategy needs single updates and a release step hides them.
    """
    aggregator = build_aggregator(plan.strategy, plan.min_sites, arguments_of(plan), moments)
    require_compatible(plan.strategy, aggregator, coordinator_steps(plan))
    return aggregator
