"""Run the rounds: ask the sites, check their replies, combine them and sign the result."""

import logging
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ecgfl_cli.federation.aggregation import Aggregator, Update
from ecgfl_cli.federation.coordinator.rounds.calibrating import calibrated
from ecgfl_cli.federation.coordinator.rounds.combining import Combination
from ecgfl_cli.federation.coordinator.rounds.declared_beats import DeclaredBeats
from ecgfl_cli.federation.coordinator.rounds.outliers import deviation_in_words, deviations
from ecgfl_cli.federation.coordinator.rounds.replies import (
    SERVE_AGAIN,
    EnrolledSites,
    PhaseReplies,
    RoundFailed,
    log_dropped,
)
from ecgfl_cli.federation.coordinator.rounds.reported_figures import (
    add_measurements,
    combined_metrics,
    histograms,
    mean_loss,
    shares_in_model,
    training_figures,
)
from ecgfl_cli.federation.coordinator.rounds.secure_round import KeyedSites, SecureRound
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.dropped import (
    DropCode,
    Dropped,
)
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import Phase, RunRecord, now
from ecgfl_cli.federation.messages import (
    MODEL_UNACCEPTABLE,
    VERDICTS,
    EvaluateReply,
    EvaluateRequest,
    Kind,
    TrainReply,
    TrainRequest,
    masked_of,
    read_reply,
    weights_of,
)
from ecgfl_cli.federation.release_steps.cap_beats import usual_count
from ecgfl_cli.federation.release_steps.chain import coordinator_steps, names_of, restore
from ecgfl_cli.federation.release_steps.step import RoundUpdates, SiteUpdate
from ecgfl_cli.federation.transport import CoordinatorTransport, Reply, Request
from ecgfl_cli.logs import Event, event
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.models.verdicts import VerdictCode

_log = logging.getLogger(__name__)


class Sites(EnrolledSites, Protocol):
    """The sites as the coordinator sees them."""

    def wait_for_hours(self) -> None:
        """Wait until a round may begin."""
        ...

    def quorum(self, without: set[int]) -> dict[int, str]:
        """Wait for the sites of the next phase, `without` not counted: node -> site name."""
        ...

    def fingerprint(self, node: int) -> str:
        """Return the SHA-256 of the public key of a node, in hexadecimal."""
        ...

    def expected(self) -> set[str]:
        """Return the enrolled sites that may take part in this run, connected or not."""
        ...


class Rounds:
    """The rounds of one run.

    Parameters
    ----------
    plan
        Plan of the run.
    aggregator
        Combines the weights of the sites.
    checkpoints
        The models of the run. Each round adds one.
    sites
        The sites that take part.
    record
        The report of the run, which is written to disk.
    keys
        The node keys of the sites, for a plan with secure aggregation.
    """

    def __init__(
        self,
        plan: RunPlan,
        aggregator: Aggregator,
        checkpoints: Checkpoints,
        sites: Sites,
        record: RunRecord,
        keys: KeyedSites | None = None,
    ) -> None:
        self._plan = plan
        self._aggregator = aggregator
        self._checkpoints = checkpoints
        self._sites = sites
        self._record = record
        limits = {site: limit for site, limit in (plan.sites or {}).items() if limit is not None}
        self._trained_on = DeclaredBeats(
            "training", limits, plan.max_examples, record.first_examples
        )
        self._held_out = DeclaredBeats("held-out", limits, plan.max_examples, record.first_held_out)
        self._combination = Combination.of(plan)
        self._steps = coordinator_steps(plan)
        self._replies = PhaseReplies(sites)
        self._keys = keys
        self._secure: SecureRound | None = None
        self._absent: list[str] = []
        self._began, self._started = now(), time.monotonic()

    def run(self, transport: CoordinatorTransport) -> None:
        """Run the rounds that are left.

        Raises
        ------
        RoundFailed
            If a round has too few usable replies.
        """
        for _ in range(self._plan.rounds - self._checkpoints.latest.manifest.round):
            requests = (
                self._begin_secure(transport) if self._plan.secagg else self.training_requests()
            )
            self.take_trained(transport.ask(requests, self._plan.phase_timeout))
            self.take_measured(transport.ask(self.evaluation_requests(), self._plan.phase_timeout))

    def training_requests(self) -> list[Request]:
        """Wait for the sites, and return the requests with which a round begins."""
        return self._requests(self._begin_round(), Kind.TRAIN)

    def _begin_secure(self, transport: CoordinatorTransport) -> list[Request]:
        """Wait for the sites, let them exchange keys, and return the requests to train."""
        assert self._keys is not None
        request = self._begin_round()
        self._secure = SecureRound(
            self._plan, self._keys, self._checkpoints, self._replies, transport, request
        )
        return self._secure.training_requests()

    def _begin_round(self) -> TrainRequest:
        """Wait for the sites, and return the request to train."""
        if self._plan.hours is not None:
            self._record.enter(Phase.WAITING_FOR_HOURS)
            self._sites.wait_for_hours()
        this_round = self._checkpoints.latest.manifest.round + 1
        self._replies.names = self._asked(Phase.TRAINING, this_round)
        self._absent = sorted(
            self._sites.expected() - set(self._replies.names.values()) - self._replies.refused_names
        )
        training = sorted(self._replies.names.values())
        _log.info(
            f"round {this_round} of {self._plan.rounds}: training at {', '.join(training)}"
            + (f"; absent: {', '.join(self._absent)}" if self._absent else ""),
            extra=event(
                Event.ROUND_STARTED,
                round=this_round,
                rounds=self._plan.rounds,
                sites=training,
                absent=self._absent,
            ),
        )
        request = TrainRequest(
            model=self._checkpoints.latest.signed,
            epochs=self._plan.local_epochs,
            learning_rate=self._plan.learning_rate_in(this_round),
            batch_size=self._plan.batch_size,
            seed=self._plan.seed + this_round,
            proximal_mu=self._aggregator.proximal_mu,
            steps=names_of(self._steps),
            privacy=self._plan.privacy,
        )
        self._began, self._started = now(), time.monotonic()
        return request

    def take_trained(self, replies: Sequence[Reply]) -> None:
        """Combine the sites' weights into the next model, and sign and store it.

        Raises
        ------
        RoundFailed
            If too few replies are usable.
        """
        this_round, length = self._checkpoints.latest.manifest.round + 1, self._checkpoints.length
        start = self._checkpoints.weights
        usable, dropped = self._replies.sorted_out(
            replies, lambda reply: self._check_train(reply, length)
        )
        trained = {self._replies.name(reply): figures for reply, figures in usable}
        advice = SERVE_AGAIN
        if self._secure is None:
            received = [
                SiteUpdate(
                    (self._replies.name(reply),),
                    weights_of(reply.content),
                    figures.examples,
                    figures.examples,
                )
                for reply, figures in usable
            ]
        else:
            received = [self._secure.combined(usable, dropped)]
            dropped, advice = self._secure.dropped, self._secure.begin_anew
            self._secure = None
        restored = restore(self._steps, RoundUpdates(start, received))
        dropped += [Dropped(name, DropCode.OUTLIER, why) for name, why in restored.left_out.items()]
        log_dropped(this_round, dropped)
        if len(restored.sites) < self._plan.min_sites:
            self._record.report.left_out += dropped
            raise RoundFailed(
                f"round {this_round}: {len(restored.sites)} usable replies, at least"
                f" {self._plan.min_sites} are needed"
                f" ({'; '.join(map(str, dropped)) or 'no other site was asked'})",
                advice,
            )
        trained = {name: trained[name] for name in restored.sites}
        counts = {name: figures.examples for name, figures in trained.items()}
        self._log_capped(restored.updates)
        updates = [Update(update.weights, update.beats) for update in restored.updates]
        vector = self._aggregator.aggregate(this_round, start, updates)
        for name, count in counts.items():
            self._trained_on.accept(name, count)
        measured = self._last_metrics()
        loss = mean_loss(list(trained.values()), self._plan.max_weight_ratio)
        result = RoundResult(
            this_round,
            "",
            list(counts),
            round(sum(update.beats for update in updates)),
            loss,
            dropped=dropped,
        )
        result.examples_by_site, result.began, result.seconds = counts, self._began, self._elapsed()
        result.absent = self._absent
        result.by_site = training_figures(
            trained,
            restored,
            shares_in_model(restored.updates, vector, self._plan.strategy, self._combination),
        )
        self._record.announce(result)
        latest = self._checkpoints.add(
            vector, len(restored.sites), result.examples, measured, self._aggregator.moments
        )
        self._record.confirm(latest.manifest.version)

    def evaluation_requests(self) -> list[Request]:
        """Wait for the sites, and return the requests to measure the latest model."""
        this_round = self._checkpoints.latest.manifest.round
        self._replies.names = self._asked(Phase.MEASURING, this_round)
        request = EvaluateRequest(model=self._checkpoints.latest.signed)
        return self._requests(request, Kind.EVALUATE)

    def take_measured(self, replies: Sequence[Reply]) -> None:
        """Combine the figures on the sites' held-out patients, and store them in the report."""
        usable, dropped = self._replies.sorted_out(replies, self._check_evaluate)
        result = self._record.report.rounds[-1]
        log_dropped(result.round, dropped)
        result.dropped += dropped
        measured = {self._replies.name(reply): figures for reply, figures in usable}
        for name, figures in measured.items():
            self._held_out.accept(name, figures.examples)
        result.metrics = combined_metrics(list(measured.values()), self._combination)
        next_calibration = calibrated(
            histograms(list(measured.values())), self._combination, self._checkpoints.calibrated
        )
        self._checkpoints.use(next_calibration)
        if next_calibration.problem:
            _log.warning(f"round {result.round}: {next_calibration.problem}")
        add_measurements(result.by_site, measured)
        self._note_deviations(result)
        refused = [reply for reply in replies if reply.error == MODEL_UNACCEPTABLE]
        self._take_verdicts(result, usable, refused)
        result.seconds = self._elapsed()
        self._record.save()
        _log.info(
            f"round {result.round} of {self._plan.rounds}: model {result.version},"
            f" {_in_words(result)}",
            extra=event(
                Event.ROUND_FINISHED,
                round=result.round,
                rounds=self._plan.rounds,
                model=result.version,
                sites=result.sites,
                examples=result.examples,
                loss=result.loss,
            ),
        )

    def _take_verdicts(
        self,
        result: RoundResult,
        usable: list[tuple[Reply, EvaluateReply]],
        refused: list[Reply],
    ) -> None:
        """Store and log the sites' verdicts on the run's final model."""
        latest = self._checkpoints.latest.manifest
        verdicts: dict[str, VerdictCode] = {
            self._replies.name(reply): "unusable" for reply in refused
        }
        verdicts |= {
            self._replies.name(reply): VERDICTS[figures.verdict]
            for reply, figures in usable
            if figures.verdict is not None
        }
        if not latest.is_final:
            return
        if verdicts and (
            silent := sorted({self._replies.name(reply) for reply, _ in usable} - verdicts.keys())
        ):
            _log.info(
                f"no verdict on model {latest.version} from {', '.join(silent)}: their policy"
                ' withholds it ("verdict" is not in policy.metrics of site.toml)'
            )
        if not verdicts:
            return
        result.verdicts = {**verdicts}
        standing = self._checkpoints.add_verdicts(latest.version, verdicts)
        _log.info(
            f"model {latest.version}: {standing.in_words()}",
            extra=event(Event.VERDICT, model=latest.version, verdicts=verdicts),
        )
        if standing.is_rejected:
            start = self._checkpoints.next_start()
            _log.warning(
                f"most sites rejected model {latest.version}: no run starts from it;"
                f" the next starts from {start or 'random weights'}"
            )

    def _asked(self, phase: Phase, this_round: int) -> dict[int, str]:
        """Wait for the sites of the next phase, and return them."""
        self._record.enter(Phase.WAITING_FOR_SITES)
        names = self._sites.quorum(self._replies.refused)
        self._record.enter(phase, this_round)
        return names

    def _requests(self, request: TrainRequest | EvaluateRequest, kind: Kind) -> list[Request]:
        weights = self._checkpoints.weights
        return [
            Request(
                node,
                kind,
                self._checkpoints.sealed(request, weights, self._sites.fingerprint(node)),
            )
            for node in self._replies.names
        ]

    def _log_capped(self, updates: Sequence[SiteUpdate]) -> None:
        """Log the sites that count for fewer beats than they trained on."""
        if not self._combination.weights_sites:
            return
        usual = usual_count([update.examples for update in updates])
        for update in updates:
            if update.beats < update.examples:
                _log.warning(
                    f"{', '.join(update.sites)}: {update.examples} training beats count as"
                    f" {update.beats:.0f}, {self._plan.max_weight_ratio:g} times the usual number"
                    f" of a site, {usual:g} (max_weight_ratio)"
                )

    def _note_deviations(self, result: RoundResult) -> None:
        """Store and log the sites whose figures deviate from those of the others."""
        for name, figures in deviations(result.by_site).items():
            result.by_site[name].deviates = figures
            _log.warning(
                f"{name} deviates from the other sites in round {result.round}:"
                f" {deviation_in_words(result, name)}",
                extra=event(
                    Event.SITE_DEVIATES, site=name, round=result.round, figures=list(figures)
                ),
            )

    def _check_train(self, reply: Reply, length: int) -> TrainReply:
        figures = read_reply(reply.content, TrainReply)
        is_masked = self._plan.secagg
        vector = masked_of(reply.content) if is_masked else weights_of(reply.content)
        if vector.size != length:
            raise ValueError(f"{vector.size} weights instead of {length}")
        if not np.isfinite(vector).all():
            raise ValueError("weights that are not finite")
        self._trained_on.check(self._replies.name(reply), figures.examples)
        return figures

    def _check_evaluate(self, reply: Reply) -> EvaluateReply:
        figures = read_reply(reply.content, EvaluateReply)
        self._held_out.check(self._replies.name(reply), figures.examples)
        return figures

    def _last_metrics(self) -> Metrics | None:
        """Return the metrics of the latest model; None if it was not measured."""
        last = self._record.report.rounds[-1:]
        return (
            last[0].metrics
            if last and last[0].version == self._checkpoints.latest.manifest.version
            else None
        )

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._started, 3)


def _in_words(result: RoundResult) -> str:
    loss = "not reported" if result.loss is None else f"{result.loss:.4f}"
    words = f"{len(result.sites)} sites, {result.examples} beats, loss {loss}"
    if result.metrics is None:
        return f"{words}; no held-out patients to measure on"
    sensitivity, precision = (
        "-" if share is None else f"{100 * share:.1f} %"
        for share in (result.metrics.sensitivity, result.metrics.precision)
    )
    return f"{words}; held out: sensitivity {sensitivity}, precision {precision}"
