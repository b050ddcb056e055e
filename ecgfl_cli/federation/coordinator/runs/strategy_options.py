"""The options that belong to some strategies only, and the checks of a strategy's settings."""

import math
from dataclasses import dataclass
from typing import Any

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.bounds import LARGEST_PROXIMAL_MU
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.secagg.agreement import FEWEST_MEMBERS

STRATEGY_NAMES = ("fedavg", "fedprox", "fedadam", "fedyogi", "median", "trimmed-mean", "krum")

LEAST_SITES_OF_A_MEDIAN = 3
"""The median of two values is their mean."""


@dataclass(frozen=True)
class Option:
    """A numeric option that belongs to some strategies only.

    Attributes
    ----------
    field
        Its field of `RunPlan`.
    argument
        Its argument of Flower's strategy.
    defaults
        Its default value by strategy, for the strategies that have it.
    """

    field: str
    argument: str
    defaults: dict[str, float]

    def value(self, plan: RunPlan) -> float:
        """Return the value in a plan, or the default of its strategy."""
        given: float | None = getattr(plan, self.field)
        return self.defaults[plan.strategy] if given is None else given


PROXIMAL_MU = Option("proximal_mu", "proximal_mu", {"fedprox": 0.01})
"""Proximal term of FedProx. The default is the second smallest value in Li et al. (MLSys 2020)."""

SERVER_LEARNING_RATE = Option("server_learning_rate", "eta", {"fedadam": 0.01, "fedyogi": 0.01})
"""Learning rate of a server optimiser."""

TRIMMED_SHARE = Option("trimmed_share", "beta", {"trimmed-mean": 0.2})
"""Share of the values that is left out at each end. The default is Flower's."""

MALICIOUS_SITES = Option("malicious_sites", "num_malicious_nodes", {"krum": 1})
"""Number of malicious sites that Krum tolerates."""

OPTIONS = (PROXIMAL_MU, SERVER_LEARNING_RATE, TRIMMED_SHARE, MALICIOUS_SITES)


def arguments_of(plan: RunPlan) -> dict[str, Any]:
    """Return the arguments of the strategy of a checked plan: its options or their defaults."""
    return {
        option.argument: option.value(plan)
        for option in OPTIONS
        if plan.strategy in option.defaults
    }


def check_strategy(plan: RunPlan) -> None:
    """Check the strategy of a plan and its options.

    Raises
    ------
    UsageError
        There is no such strategy, an option belongs to another strategy or is out of bounds, or
        `min_sites` is too small for the strategy.
    """
    if plan.strategy not in STRATEGY_NAMES:
        raise UsageError(
            f"{plan.origin('strategy')}: no strategy '{plan.strategy}'",
            f"Choose one of: {', '.join(STRATEGY_NAMES)}",
        )
    for option in OPTIONS:
        if getattr(plan, option.field) is not None and plan.strategy not in option.defaults:
            raise UsageError(
                f"{plan.origin(option.field)} is not an option of --strategy {plan.strategy}",
                f"Omit it, or choose --strategy {' or '.join(option.defaults)}",
            )
    if plan.proximal_mu is not None and not 0 <= plan.proximal_mu <= LARGEST_PROXIMAL_MU:
        raise _out_of_bounds(plan, "proximal_mu", f"between 0 and {LARGEST_PROXIMAL_MU:g}", "0.01")
    if plan.trimmed_share is not None and not 0 < plan.trimmed_share < 0.5:
        raise _out_of_bounds(plan, "trimmed_share", "above 0 and below 0.5", "0.2")
    if plan.malicious_sites is not None and plan.malicious_sites < 0:
        raise _out_of_bounds(plan, "malicious_sites", "0 or more", "1")
    if plan.secagg and plan.min_sites < FEWEST_MEMBERS:
        raise UsageError(
            f"{plan.origin('min_sites')} {plan.min_sites} is too few for {plan.origin('secagg')}: "
            "of two sites, each can subtract its own update from the sum",
            f"Require at least {FEWEST_MEMBERS} sites: --min-sites {FEWEST_MEMBERS}",
        )
    least, reason = _least_sites(plan)
    if plan.min_sites < least:
        raise UsageError(
            f"{plan.origin('min_sites')} {plan.min_sites} is too few for the strategy"
            f" {plan.strategy}: {reason}",
            f"Require at least {least} sites, or choose another strategy",
        )


def _least_sites(plan: RunPlan) -> tuple[int, str]:
    """Return the smallest number of replies for which the strategy is useful, and the reason."""
    if plan.strategy == "median":
        return LEAST_SITES_OF_A_MEDIAN, "the median of two is their mean"
    if plan.strategy == "trimmed-mean":
        share = TRIMMED_SHARE.value(plan)
        least = math.ceil(1 / share)
        least += int(share * least) < 1  # Flower rounds the number that it trims down
        return least, f"a share of {share:g} trims no site of fewer than {least}"
    if plan.strategy == "krum":
        malicious = int(MALICIOUS_SITES.value(plan))
        return (
            2 * malicious + 3,
            f"with {malicious} malicious sites it needs 2 x {malicious} + 3 (Blanchard et al.,"
            " 2017)",
        )
    return 0, ""


def _out_of_bounds(plan: RunPlan, field: str, bounds: str, example: str) -> UsageError:
    return UsageError(
        f"{plan.origin(field)} {getattr(plan, field):g} is not {bounds}", f"For instance {example}"
    )
