"""Aggregate the sites' weights with Flower's strategies.

A Flower strategy also chooses the sites, sends the requests and drives the rounds. ecgfl does this
itself (`coordinator.rounds`) and calls only `aggregate_train`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
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

from ecgfl_cli.federation.aggregation import Aggregator, Moments, Update
from ecgfl_cli.federation.flower.codec import ARRAYS, FLAT, METRICS, arrays_of, message_from
from ecgfl_cli.federation.messages import EXAMPLES, Kind


class FlowerStrategy:
    """A Flower strategy as an `Aggregator`.

    Parameters
    ----------
    delegate
        The Flower strategy.
    needs_single_updates
        See `Aggregator`.
    """

    def __init__(self, delegate: FedAvg, *, needs_single_updates: bool) -> None:
        self._delegate = delegate
        self.needs_single_updates = needs_single_updates
        self.proximal_mu = float(getattr(delegate, "proximal_mu", 0.0))

    def aggregate(
        self,
        number: int,
        start: NDArray[np.float32],  # noqa: ARG002
        updates: Sequence[Update],
    ) -> NDArray[np.float32]:
        """Return the next global weights, shape (n,)."""
        weights = [update.weights for update in updates]
        return np.asarray(self._aggregated(number, weights, updates), dtype=np.float32)

    @property
    def moments(self) -> Moments | None:
        """No state is kept from round to round."""
        return None

    def _aggregated(
        self,
        number: int,
        weights: Sequence[NDArray[np.floating[Any]]],
        updates: Sequence[Update],
    ) -> NDArray[np.floating[Any]]:
        messages = [
            _message(each, update.beats) for each, update in zip(weights, updates, strict=True)
        ]
        arrays, _ = self._delegate.aggregate_train(number, messages)
        assert arrays is not None  # only without replies
        return arrays[FLAT].numpy()


class ServerOptimiser(FlowerStrategy):
    """FedAdam or FedYogi: Reddi et al., ICLR 2021.

    The mean change of the weights is the gradient for an optimiser at the server. Flower's class
    receives the global weights in double precision, because the square of a large change would
    overflow in single precision.

    Parameters
    ----------
    delegate
        The Flower strategy.
    name
        Name of the strategy.
    moments
        State after the last round of a resumed run; None to begin.
    """

    def __init__(self, delegate: FedOpt, name: str, moments: Moments | None) -> None:
        super().__init__(delegate, needs_single_updates=False)
        self._optimiser = delegate
        self._name = name
        if moments is not None:
            delegate.m_t = {FLAT: moments.first}
            delegate.v_t = {FLAT: moments.second}

    def aggregate(
        self, number: int, start: NDArray[np.float32], updates: Sequence[Update]
    ) -> NDArray[np.float32]:
        """Return the next global weights, shape (n,).

        `number` counts from the beginning of the run, also if the run was resumed: FedAdam's bias
        correction depends on it.
        """
        self._optimiser.current_arrays = {FLAT: start.astype(np.float64)}
        return super().aggregate(number, start, updates)

    @property
    def moments(self) -> Moments:
        """State after the last `aggregate`."""
        assert self._optimiser.m_t
        assert self._optimiser.v_t
        return Moments(self._name, self._optimiser.m_t[FLAT], self._optimiser.v_t[FLAT])


class KrumOfChanges(FlowerStrategy):
    """Krum: Blanchard et al., NeurIPS 2017. The weights of the site closest to its neighbours.

    Flower computes squared distances as differences of squared norms in the precision of the
    weights. It receives the changes of the global weights in double precision: the distances are
    the same, but not small differences of large numbers.
    """

    def aggregate(
        self, number: int, start: NDArray[np.float32], updates: Sequence[Update]
    ) -> NDArray[np.float32]:
        """Return the next global weights, shape (n,)."""
        origin = start.astype(np.float64)
        changes = [update.weights - origin for update in updates]
        return np.asarray(self._aggregated(number, changes, updates) + origin, dtype=np.float32)


SINGLE = {"median": FedMedian, "trimmed-mean": FedTrimmedAvg}
"""Yin et al., ICML 2018: the median or trimmed mean of each weight, regardless of the beats."""

MEANS = {"fedavg": FedAvg, "fedprox": FedProx}
"""McMahan et al., AISTATS 2017, and Li et al., MLSys 2020: the mean weighted by the beats."""

OPTIMISERS = {"fedadam": FedAdam, "fedyogi": FedYogi}

STRATEGIES = (*MEANS, *OPTIMISERS, *SINGLE, "krum")


def build_aggregator(
    name: str, min_sites: int, arguments: Mapping[str, Any], moments: Moments | None = None
) -> Aggregator:
    """Return the aggregator of a strategy.

    Parameters
    ----------
    name
        One of `STRATEGIES`.
    min_sites
        Smallest number of updates.
    arguments
        Arguments of Flower's class that belong to this strategy.
    moments
        State after the last round of a resumed run.

    Raises
    ------
    KeyError
        If there is no such strategy.
    """
    common = {
        "fraction_train": 1.0,
        "fraction_evaluate": 1.0,
        "min_train_nodes": min_sites,
        "min_evaluate_nodes": min_sites,
        "min_available_nodes": min_sites,
        "arrayrecord_key": ARRAYS,
        **arguments,
    }
    if name in OPTIMISERS:
        return ServerOptimiser(OPTIMISERS[name](**common), name, moments)
    if name == "krum":
        return KrumOfChanges(Krum(**common), needs_single_updates=True)
    if name in SINGLE:
        return FlowerStrategy(SINGLE[name](**common), needs_single_updates=True)
    return FlowerStrategy(MEANS[name](**common), needs_single_updates=False)


def _message(weights: NDArray[np.floating[Any]], beats: float) -> Message:
    """Return a reply with the weights and the number of beats, and nothing else.

    Flower refuses replies that do not all have the same figures.
    """
    arrays: ArrayRecord = arrays_of(weights)
    record = RecordDict({ARRAYS: arrays, METRICS: MetricRecord({EXAMPLES: beats})})
    return message_from(record, Kind.TRAIN.value)
