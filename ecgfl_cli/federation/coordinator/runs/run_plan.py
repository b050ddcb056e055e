"""What a coordinator wants of a run, and what it tells of it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from ecgfl_cli.federation.coordinator.runs.dropped import Dropped, with_lines, without_lines
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.site.hours import Hours

SERVER_OPTIMISERS = ("fedadam", "fedyogi")
"""The strategies that remember something from round to round."""


def option_of(name: str) -> str:
    """The option of `serve` for a field of the plan."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class RunPlan:
    """min_sites : sites that must take part in every round. phase_timeout : seconds for each training or evaluation phase.

    proximal_mu, server_learning_rate, trimmed_share, malicious_sites : None takes the strategy's own, where it has one.
    quorum_timeout : seconds for which `min_sites` are waited for, None for ever. hours : in which rounds begin, None at any.
    max_update_ratio : largest update, as a multiple of the round's median. max_weight_ratio : largest weight of a site in a
    mean, as a multiple of the median. max_examples : most training beats, and most held-out beats, of a site.
    init_from, from_scratch : override the weights that a new run starts from; see `first_weights`.
    sites : those that may take part, each with its own `max_examples` or None; None for all that are enrolled.
    origins : field -> where its value stands, for messages; an option of `serve` where it is not named.
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
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where a person finds the value of a field."""
        return self.origins.get(name, option_of(name))

    def allows(self, site: str) -> bool:
        """Whether a site may take part in this run."""
        return self.sites is None or site in self.sites

    def learning_rate_in(self, this_round: int) -> float:
        """From `learning_rate` in the first round along half a cosine to `last_learning_rate` in the last.

        Source: Loshchilov & Hutter, SGDR, ICLR 2017, without restarts.
        """
        done = (this_round - 1) / max(self.rounds - 1, 1)
        return (
            self.last_learning_rate
            + (self.learning_rate - self.last_learning_rate) * (1 + math.cos(math.pi * done)) / 2
        )

    @property
    def optimiser(self) -> str | None:
        """The strategy where it is a server optimiser, None for the others."""
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
"""Figures in which a site can deviate from the others; `pvcs` and `train_pvcs` are compared as shares of the beats."""


@dataclass
class SiteFigures:
    """What one site reported in a round, and its weight. None: not reported, not defined, or the site did not take part.

    train_beats, train_pvcs, train_loss, update_norm : from the training reply; `update_norm` is the Euclidean distance of the
        site's weights from the global ones.
    counted_beats : `train_beats`, but at most `max_weight_ratio` times the usual number. weight : the site's share of the mean
        of the weights, 0 to 1; with krum, 1 for the selected site; None for a strategy that treats each weight by itself.
    beats, pvcs, true_positives, false_positives, sensitivity, precision, loss : on the site's held-out patients.
    deviates : the figures of this class in which the site is an outlier among the sites of the round.
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
        """Held-out beats that the model called V."""
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
    """One round.

    sites : those whose replies made the model. examples : training beats of all of them, each site's number capped like its
    weight. examples_by_site : training beats of each site, as reported. metrics : figures on the sites' held-out patients,
    combined as robustly as the weights (see `Combination`). by_site : the figures of each site. dropped : replies that were left
    out, with the reason.
    absent : enrolled sites that were not connected for training. verdicts : site -> its verdict on the run's final model.
    began : ISO 8601, UTC. seconds : until the model was measured, or stored where it was not.
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
        """The sum of the sites' counts, whatever the strategy. For trusted sites, such as those of a simulation."""
        counted = [
            (each.beats, each.pvcs, each.true_positives, each.false_positives)
            for each in self.by_site.values()
            if each.beats is not None
            and each.pvcs is not None
            and each.true_positives is not None
            and each.false_positives is not None
        ]
        beats, pvcs, found, false = (
            sum(column) for column in zip((0, 0, 0, 0), *counted, strict=True)
        )
        losses = [
            (each.loss, each.beats)
            for each in self.by_site.values()
            if each.loss is not None and each.beats
        ]
        if not beats and not losses:
            return None
        return Metrics(
            beats=beats,
            pvcs=pvcs,
            loss=sum(loss * count for loss, count in losses) / sum(count for _, count in losses)
            if losses
            else None,
            sensitivity=found / pvcs if pvcs else None,
            precision=found / (found + false) if found + false else None,
        )
