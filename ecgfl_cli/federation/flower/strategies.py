"""Flower's strategies by name, each with ecgfl's checked rounds in front of it."""

from collections.abc import Iterable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import (
    FedAdam,
    FedAvg,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    FedYogi,
    Krum,
)
from flwr.serverapp.strategy.fedopt import FedOpt
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.rounds import CheckedRounds, Sites
from ecgfl_cli.federation.coordinator.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.optimiser_state import Moments
from ecgfl_cli.federation.coordinator.run_plan import Report, RunPlan
from ecgfl_cli.federation.coordinator.run_record import RunRecord
from ecgfl_cli.federation.coordinator.strategy_options import arguments_of
from ecgfl_cli.federation.messages import ARRAYS, FLAT, weights_of


class CheckedFedAvg(CheckedRounds, FedAvg):
    """McMahan et al., AISTATS 2017: the mean of the sites' weights, weighted by their examples."""


class CheckedFedProx(CheckedRounds, FedProx):
    """Li et al., MLSys 2020: FedAvg of sites that stay near the global weights by a proximal term in their loss."""


class OptimisedRounds(CheckedRounds, FedOpt):
    """Reddi et al., ICLR 2021: the mean change of the weights is the gradient that an optimiser at the server follows.

    Flower takes the global weights in its own `configure_train` and keeps the optimiser's state in memory only. Both are handed
    to it in double precision: the square of a wild site's change must not overflow.
    """

    def prepare(
        self,
        plan: RunPlan,
        checkpoints: Checkpoints,
        sites: Sites,
        report: Report,
        record: RunRecord,
    ) -> None:
        super().prepare(plan, checkpoints, sites, report, record)
        if moments := checkpoints.moments:
            self.m_t, self.v_t = {FLAT: moments.first}, {FLAT: moments.second}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
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


class CheckedFedMedian(CheckedRounds, FedMedian):
    """Yin et al., ICML 2018: the median of each weight over the sites, whatever their examples."""


class CheckedFedTrimmedAvg(CheckedRounds, FedTrimmedAvg):
    """Yin et al., ICML 2018: the mean of each weight without the largest and the smallest, whatever the sites' examples."""


class KrumOfChanges(Krum):
    """Blanchard et al., NeurIPS 2017: the weights of the one site that is nearest to its neighbours.

    Flower computes squared distances as differences of squared norms in the precision of the weights. It is given the changes
    of the global weights in double precision: the distances are the same, and no longer small differences of large numbers.
    """

    global_weights: NDArray[np.float64]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        replies = list(replies)
        for message in replies:
            message.content[ARRAYS] = ArrayRecord(
                {FLAT: Array(weights_of(message) - self.global_weights)}
            )
        arrays, metrics = super().aggregate_train(server_round, replies)
        assert arrays is not None
        return ArrayRecord({FLAT: Array(arrays[FLAT].numpy() + self.global_weights)}), metrics


class CheckedKrum(CheckedRounds, KrumOfChanges):
    """Krum. Its model is one site's own."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        self.global_weights = arrays[FLAT].numpy().astype(np.float64)
        return super().configure_train(server_round, arrays, config, grid)


Checked = (
    CheckedFedAvg
    | CheckedFedProx
    | CheckedFedAdam
    | CheckedFedYogi
    | CheckedFedMedian
    | CheckedFedTrimmedAvg
    | CheckedKrum
)
STRATEGIES: dict[str, type[Checked]] = {
    "fedavg": CheckedFedAvg,
    "fedprox": CheckedFedProx,
    "fedadam": CheckedFedAdam,
    "fedyogi": CheckedFedYogi,
    "median": CheckedFedMedian,
    "trimmed-mean": CheckedFedTrimmedAvg,
    "krum": CheckedKrum,
}


def build_strategy(plan: RunPlan) -> Checked:
    """The strategy of a checked plan, with its options or their defaults."""
    return STRATEGIES[plan.strategy](
        fraction_train=1.0,
        fraction_evaluate=1.0,
        min_train_nodes=plan.min_sites,
        min_evaluate_nodes=plan.min_sites,
        min_available_nodes=plan.min_sites,
        arrayrecord_key=ARRAYS,
        **arguments_of(plan),
    )


def run_strategy(
    plan: RunPlan,
    grid: Grid,
    checkpoints: Checkpoints,
    sites: Sites,
    report: Report,
    record: RunRecord,
) -> None:
    """Run the rounds that are still to do, into `record`. Raises `RoundFailed` when one has too few usable replies."""
    strategy = build_strategy(plan)
    strategy.prepare(plan, checkpoints, sites, report, record)
    to_do = plan.rounds - checkpoints.latest.manifest.round
    strategy.start(grid, checkpoints.arrays(), num_rounds=to_do, timeout=plan.phase_timeout)
