"""The numbers that belong to some strategies only, and what each strategy needs to mean anything."""

import math
from dataclasses import dataclass
from typing import Any

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.bounds import LARGEST_PROXIMAL_MU
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan

STRATEGY_NAMES = ("fedavg", "fedprox", "fedadam", "fedyogi", "median", "trimmed-mean", "krum")
LEAST_SITES_OF_A_MEDIAN = 3


@dataclass(frozen=True)
class Option:
    """A number that belongs to some strategies only.

    field : of `RunPlan`. argument : of Flower's strategy. defaults : for the strategies that it belongs to.
    """

    field: str
    argument: str
    defaults: dict[str, float]

    def value(self, plan: RunPlan) -> float:
        """As given, or the default of the plan's strategy, to which it must belong."""
        given: float | None = getattr(plan, self.field)
        return self.defaults[plan.strategy] if given is None else given


PROXIMAL_MU = Option("proximal_mu", "proximal_mu", {"fedprox": 0.01})
"""The second smallest of the values that Li et al. try."""

SERVER_LEARNING_RATE = Option("server_learning_rate", "eta", {"fedadam": 0.01, "fedyogi": 0.01})
TRIMMED_SHARE = Option("trimmed_share", "beta", {"trimmed-mean": 0.2})
"""At each end. Flower's own default."""

MALICIOUS_SITES = Option("malicious_sites", "num_malicious_nodes", {"krum": 1})
OPTIONS = (PROXIMAL_MU, SERVER_LEARNING_RATE, TRIMMED_SHARE, MALICIOUS_SITES)


def arguments_of(plan: RunPlan) -> dict[str, Any]:
    """Return the arguments of the strategy of a checked plan: its options or their defaults."""
    return {
        option.argument: option.value(plan)
        for option in OPTIONS
        if plan.strategy in option.defaults
    }


def check_strategy(plan: RunPlan) -> None:
    """Raises `UsageError` when there is no such strategy, when an option is not one of its own or out of bounds, or when the
    sites are too few for it."""
    if plan.strategy not in STRATEGY_NAMES:
        raise UsageError(
            f"{plan.origin('strategy')}: no strategy '{plan.strategy}'",
            f"Choose one of: {', '.join(STRATEGY_NAMES)}",
        )
    for option in OPTIONS:
        if getattr(plan, option.field) is not None and plan.strategy not in option.defaults:
            raise UsageError(
                f"{plan.origin(option.field)} is no option of --strategy {plan.strategy}",
                f"Leave it out, or choose --strategy {' or '.join(option.defaults)}",
            )
    if plan.proximal_mu is not None and not 0 <= plan.proximal_mu <= LARGEST_PROXIMAL_MU:
        raise _out_of_bounds(plan, "proximal_mu", f"between 0 and {LARGEST_PROXIMAL_MU:g}", "0.01")
    if plan.trimmed_share is not None and not 0 < plan.trimmed_share < 0.5:
        raise _out_of_bounds(plan, "trimmed_share", "above 0 and below 0.5", "0.2")
    if plan.malicious_sites is not None and plan.malicious_sites < 0:
        raise _out_of_bounds(plan, "malicious_sites", "0 or more", "1")
    least, why = _least_sites(plan)
    if plan.min_sites < least:
        raise UsageError(
            f"{plan.origin('min_sites')} {plan.min_sites} is too few for the strategy {plan.strategy}: {why}",
            f"Ask for at least {least} sites, or choose another strategy",
        )


def _least_sites(plan: RunPlan) -> tuple[int, str]:
    """The fewest replies of which the strategy makes something else than a mean or an accident, and why."""
    if plan.strategy == "median":
        return LEAST_SITES_OF_A_MEDIAN, "the median of two is their mean"
    if plan.strategy == "trimmed-mean":
        share = TRIMMED_SHARE.value(plan)
        least = math.ceil(1 / share)
        least += int(share * least) < 1  # rounded down, as Flower counts those that it trims
        return least, f"a share of {share:g} trims nobody of fewer than {least}"
    if plan.strategy == "krum":
        malicious = int(MALICIOUS_SITES.value(plan))
        return (
            2 * malicious + 3,
            f"with {malicious} malicious sites it needs 2 x {malicious} + 3 (Blanchard et al., 2017)",
        )
    return 0, ""


def _out_of_bounds(plan: RunPlan, field: str, bounds: str, example: str) -> UsageError:
    return UsageError(
        f"{plan.origin(field)} {getattr(plan, field):g} is not {bounds}", f"For instance {example}"
    )
