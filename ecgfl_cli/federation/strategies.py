"""Flower's strategies by name, each with ecgfl's checked rounds in front of it, and the options that belong to it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg, FedProx, FedYogi
from flwr.serverapp.strategy.fedopt import FedOpt

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.checked_rounds import CheckedRounds, Quorum
from ecgfl_cli.federation.checkpoints import Checkpoints
from ecgfl_cli.federation.flower.superlink import RunGrid
from ecgfl_cli.federation.optimiser_state import Moments
from ecgfl_cli.federation.run_plan import Report, RoundResult, RunPlan
from ecgfl_cli.federation.wire import ARRAYS, FLAT, LARGEST_PROXIMAL_MU


class CheckedFedAvg(CheckedRounds, FedAvg):
    """McMahan et al., AISTATS 2017: the mean of the sites' weights, weighted by their examples."""


class CheckedFedProx(CheckedRounds, FedProx):
    """Li et al., MLSys 2020: FedAvg of sites that stay near the global weights by a proximal term in their loss."""


class OptimisedRounds(CheckedRounds, FedOpt):
    """Reddi et al., ICLR 2021: the mean change of the weights is the gradient that an optimiser at the server follows.

    Flower takes the global weights in its own `configure_train` and keeps the optimiser's state in memory only. Both are handed
    to it in double precision: the square of a wild site's change must not overflow.
    """

    def prepare(self, plan: RunPlan, checkpoints: Checkpoints, quorum: Quorum, report: Report) -> None:
        super().prepare(plan, checkpoints, quorum, report)
        if moments := checkpoints.moments:
            self.m_t, self.v_t = {FLAT: moments.first}, {FLAT: moments.second}

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        self.current_arrays = {FLAT: arrays[FLAT].numpy().astype(np.float64)}
        return super().configure_train(server_round, arrays, config, grid)

    def _moments(self) -> Moments:
        assert self.m_t
        assert self.v_t
        return Moments(self._plan.strategy, self.m_t[FLAT], self.v_t[FLAT])


class CheckedFedAdam(OptimisedRounds, FedAdam):
    """Adam at the server."""


class CheckedFedYogi(OptimisedRounds, FedYogi):
    """Yogi at the server: its second moment changes slowly where the rounds' changes become small."""


STRATEGIES: dict[str, type[CheckedFedAvg | CheckedFedProx | CheckedFedAdam | CheckedFedYogi]] = {
    "fedavg": CheckedFedAvg,
    "fedprox": CheckedFedProx,
    "fedadam": CheckedFedAdam,
    "fedyogi": CheckedFedYogi,
}


@dataclass(frozen=True)
class Option:
    """A number that belongs to some strategies only.

    field : of `RunPlan`. argument : of Flower's strategy. defaults : for the strategies that it belongs to.
    """

    field: str
    argument: str
    defaults: dict[str, float]

    def given(self, plan: RunPlan) -> float | None:
        value = getattr(plan, self.field)
        return None if value is None else float(value)


OPTIONS = (
    # The second smallest of the values that Li et al. try.
    Option("proximal_mu", "proximal_mu", {"fedprox": 0.01}),
    Option("server_learning_rate", "eta", {"fedadam": 0.01, "fedyogi": 0.01}),
)


def check_strategy(plan: RunPlan) -> None:
    """Raises `UsageError` when there is no such strategy, or when an option is not one of its own or out of bounds."""
    if plan.strategy not in STRATEGIES:
        raise UsageError(f"no strategy '{plan.strategy}'", f"Choose one of: {', '.join(sorted(STRATEGIES))}")
    for option in OPTIONS:
        if option.given(plan) is not None and plan.strategy not in option.defaults:
            raise UsageError(
                f"--{option.field.replace('_', '-')} is no option of --strategy {plan.strategy}",
                f"Leave it out, or choose --strategy {' or '.join(option.defaults)}",
            )
    if plan.proximal_mu is not None and not 0 <= plan.proximal_mu <= LARGEST_PROXIMAL_MU:
        raise UsageError(
            f"--proximal-mu {plan.proximal_mu:g} is not between 0 and {LARGEST_PROXIMAL_MU:g}", "For instance --proximal-mu 0.01"
        )


def build_strategy(plan: RunPlan) -> CheckedFedAvg | CheckedFedProx | CheckedFedAdam | CheckedFedYogi:
    """The strategy of a checked plan, with its options or their defaults."""
    own: dict[str, Any] = {
        option.argument: option.defaults[plan.strategy] if (given := option.given(plan)) is None else given
        for option in OPTIONS
        if plan.strategy in option.defaults
    }
    return STRATEGIES[plan.strategy](
        fraction_train=1.0,
        fraction_evaluate=1.0,
        min_train_nodes=plan.min_sites,
        min_evaluate_nodes=plan.min_sites,
        min_available_nodes=plan.min_sites,
        arrayrecord_key=ARRAYS,
        **own,
    )


def run_strategy(plan: RunPlan, grid: RunGrid, checkpoints: Checkpoints, quorum: Quorum, report: Report) -> list[RoundResult]:
    """Run the rounds that are still to do. Raises `RoundFailed` when one has too few usable replies."""
    strategy = build_strategy(plan)
    strategy.prepare(plan, checkpoints, quorum, report)
    to_do = plan.rounds - checkpoints.latest.manifest.round
    strategy.start(grid, checkpoints.arrays(), num_rounds=to_do, timeout=plan.phase_timeout)
    return strategy.results


def wait_for_sites(
    online: Callable[[], dict[int, str]], least: int, report: Report, without: set[int] | None = None, poll: float = 0.2
) -> dict[int, str]:
    """Wait until at least `least` sites are connected, `without` not counted; says so whenever their number changes."""
    said: int | None = None
    while len(sites := {node: name for node, name in online().items() if node not in (without or ())}) < least:
        if len(sites) != said:
            said = len(sites)
            report(f"waiting for sites: {said} of at least {least} connected")
        time.sleep(poll)
    return sites
