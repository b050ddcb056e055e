"""The plan of a run, and the results of its rounds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from ecgfl_cli.federation.coordinator.runs.dropped import Dropped, with_lines, without_lines
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.site.hours import Hours
from ecgfl_cli.site.privacy_policy import PrivacyDemand

SERVER_OPTIMISERS = ("fedadam", "fedyogi")
"""Strategies that have a state from round to round."""


def option_of(name: str) -> str:
    """Return the option of `serve` for a field of the plan."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run.

    Attributes
    ----------
    architecture
        Name of the network.
    strategy
        Name of the strategy; one of `STRATEGY_NAMES`.
    rounds
        Number of rounds.
    min_sites
        Number of sites that must take part in every round.
    local_epochs
        Epochs of training at a site in a round.
    learning_rate, last_learning_rate
        Learning rate of the sites in the first and in the last round.
    batch_size
        Beats in a batch.
    seed
        Seed for the initial weights and for shuffling.
    phase_timeout
        Seconds for each training or evaluation phase.
    proximal_mu, server_learning_rate, trimmed_share, malicious_sites
        Options of some strategies; None for the strategy's default. See `strategy_options`.
    quorum_timeout
        Seconds for which the coordinator waits for `min_sites`; None for no limit.
    hours
        Hours of the day in which a round may begin; None for any.
    max_update_ratio
        Largest norm of an update, as a multiple of the round's median.
    max_weight_ratio
        Largest weight of a site in a mean, as a multiple of the median.
    max_examples
        Largest number of training beats, and of held-out beats, that a site may report.
    init_from, from_scratch
        The weights that a new run starts from; see `first_weights`.
    sites
        Sites that may take part, each with its own `max_examples` or None; None for all enrolled
        sites.
    secagg
        Whether the coordinator learns only the sum of the updates (secure aggregation).
    weights
        Site -> its weight in the mean of secure aggregation, if it is not 1.
    privacy
        Least protection by differential privacy that the sites are asked for; None to leave it to
        them.
    origins
        Where the value of a field comes from, by field, for messages. Fields that are missing
        come from an option of `serve`.
    """

    architecture: str
    strategy: str
    rounds: int
    min_sites: int
    local_epochs: int
    learning_rate: float
    last_learning_rate: float
    batch_size: int
    seed: int
    phase_timeout: float
    proximal_mu: float | None = None
    server_learning_rate: float | None = None
    trimmed_share: float | None = None
    malicious_sites: int | None = None
    quorum_timeout: float | None = None
    hours: Hours | None = None
    max_update_ratio: float = 10.0
    max_weight_ratio: float = 3.0
    max_examples: int = 10_000_000
    init_from: str | None = None
    from_scratch: bool = False
    sites: Mapping[str, int | None] | None = None
    secagg: bool = False
    weights: Mapping[str, int] = field(default_factory=dict)
    privacy: PrivacyDemand | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Return where the value of a field comes from: a line of a file or an option."""
        return self.origins.get(name, option_of(name))

    def allows(self, site: str) -> bool:
        """Return whether a site may take part in this run."""
        return self.sites is None or site in self.sites

    def learning_rate_in(self, round_number: int) -> float:
        """Return the learning rate of a round.

        It falls from `learning_rate` in the first round to `last_learning_rate` in the last, along
        half a cosine.

        Parameters
        ----------
        round_number
            Number of the round, from 1.

        References
        ----------
        Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017
        (without restarts).
        """
        progress = (round_number - 1) / max(self.rounds - 1, 1)
        span = self.learning_rate - self.last_learning_rate
        return self.last_learning_rate + span * (1 + math.cos(math.pi * progress)) / 2

    @property
    def optimiser(self) -> str | None:
        """Name of the strategy if it is a server optimiser; None otherwise."""
        return self.strategy if self.strategy in SERVER_OPTIMISERS else None


Figure = Literal[
    "train_beats",
    "train_pvcs",
    "train_loss",
    "update_norm",
    "beats",
    "pvcs",
    "sensitivity",
    "precision",
    "loss",
]
"""Figures in which a site can deviate from the others.

`pvcs` and `train_pvcs` are compared as shares of the beats.
"""


@dataclass
class SiteFigures:
    """The figures of one site in a round.

    A figure is None if the site did not report it or take part, or if it is not defined.

    Attributes
    ----------
    train_beats, train_pvcs, train_loss
        Number of training beats, of PVCs among them, and the loss, from the training reply.
    update_norm
        Euclidean distance of the site's weights from the global ones.
    counted_beats
        `train_beats`, but at most `max_weight_ratio` times the median.
    weight
        Share of the site in the mean of the weights, 0 to 1. With krum, 1 for the selected site.
        None for a strategy that combines each weight separately.
    beats, pvcs, true_positives, false_positives, sensitivity, precision, loss
        Figures on the site's held-out patients.
    deviates
        Figures in which the site is an outlier among the sites of the round.
    """

    train_beats: int | None = None
    train_pvcs: int | None = None
    train_loss: float | None = None
    update_norm: float | None = None
    counted_beats: int | None = None
    weight: float | None = None
    beats: int | None = None
    pvcs: int | None = None
    true_positives: int | None = None
    false_positives: int | None = None
    sensitivity: float | None = None
    precision: float | None = None
    loss: float | None = None
    deviates: list[Figure] = field(default_factory=list)

    @property
    def called(self) -> int | None:
        """Number of held-out beats that the model classified as PVC."""
        if self.true_positives is None or self.false_positives is None:
            return None
        return self.true_positives + self.false_positives

    @property
    def is_capped(self) -> bool:
        """Whether the site counts for fewer beats than it trained on."""
        return (
            None not in (self.train_beats, self.counted_beats)
            and self.counted_beats != self.train_beats
        )


@dataclass
class RoundResult:
    """The result of one round.

    Attributes
    ----------
    round
        Number of the round.
    version
        Version of the round's model.
    sites
        Sites whose replies were combined.
    examples
        Training beats of all these sites; the number of each site is capped like its weight.
    loss
        Training loss; None if no site reported one.
    metrics
        Figures on the sites' held-out patients, combined as robustly as the weights (see
        `Combination`).
    dropped
        Replies that were left out, with the reason.
    examples_by_site
        Training beats by site, as reported.
    began
        When the round began, in ISO 8601, UTC.
    seconds
        Duration until the model was evaluated, or stored if it was not evaluated.
    absent
        Enrolled sites that were not connected for training.
    verdicts
        Verdict on the run's final model by site.
    by_site
        Figures by site.
    """

    round: int
    version: str
    sites: list[str]
    examples: int
    loss: float | None
    metrics: Metrics | None = None
    dropped: list[Dropped] = field(default_factory=list)
    examples_by_site: dict[str, int] = field(default_factory=dict)
    began: str | None = None
    seconds: float | None = None
    absent: list[str] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    by_site: dict[str, SiteFigures] = field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read_dropped(cls, fields: Any) -> Any:
        return without_lines(fields, "dropped")

    @model_serializer(mode="wrap")
    def _write_dropped(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return with_lines(write(self), "dropped")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        fields = {
            **asdict(self),
            "metrics": None if self.metrics is None else self.metrics.model_dump(),
        }
        return with_lines(fields, "dropped")

    @property
    def gross(self) -> Metrics | None:
        """Figures over the sum of the sites' counts, for any strategy.

        Use it only if the sites are trusted, as in a simulation.
        """
        counts = [
            (site.beats, site.pvcs, site.true_positives, site.false_positives)
            for site in self.by_site.values()
            if site.beats is not None
            and site.pvcs is not None
            and site.true_positives is not None
            and site.false_positives is not None
        ]
        beats, pvcs, true, false = (
            sum(column) for column in zip((0, 0, 0, 0), *counts, strict=True)
        )
        losses = [
            (site.loss, site.beats)
            for site in self.by_site.values()
            if site.loss is not None and site.beats
        ]
        if not beats and not losses:
            return None
        return Metrics(
            beats=beats,
            pvcs=pvcs,
            loss=sum(loss * count for loss, count in losses) / sum(count for _, count in losses)
            if losses
            else None,
            sensitivity=true / pvcs if pvcs else None,
            precision=true / (true + false) if true + false else None,
        )
