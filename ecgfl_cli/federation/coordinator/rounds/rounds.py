"""Run the rounds: ask the sites, check their replies, combine them and sign the result."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.errors import ServerError
from ecgfl_cli.federation.aggregation import Aggregator, Update
from ecgfl_cli.federation.coordinator.rounds.calibrating import calibrated
from ecgfl_cli.federation.coordinator.rounds.combining import Combination
from ecgfl_cli.federation.coordinator.rounds.declared_beats import DeclaredBeats
from ecgfl_cli.federation.coordinator.rounds.outliers import deviation_in_words, deviations
from ecgfl_cli.federation.coordinator.rounds.reported_figures import (
    add_measurements,
    combined_metrics,
    histograms,
    mean_loss,
    training_figures,
)
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.dropped import (
    DropCode,
    Dropped,
    UnusableReply,
    drop_code,
)
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import Phase, RunRecord, now
from ecgfl_cli.federation.messages import (
    MODEL_UNACCEPTABLE,
    REFUSALS,
    VERDICTS,
    EvaluateReply,
    EvaluateRequest,
    Kind,
    TrainReply,
    TrainRequest,
    audit_head_of,
    in_words,
    read_reply,
    weights_of,
)
from ecgfl_cli.federation.messages import Reply as Figures
from ecgfl_cli.federation.release_steps.cap_beats import usual_count
from ecgfl_cli.federation.release_steps.chain import coordinator_steps, names_of, restore
from ecgfl_cli.federation.release_steps.step import RoundUpdates, SiteUpdate
from ecgfl_cli.federation.transport import CoordinatorTransport, Reply, Request
from ecgfl_cli.logs import Event, event
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.printable import short_reason
from ecgfl_cli.site.audit import Head

_log = logging.getLogger(__name__)


class Sites(Protocol):
    """The sites as the coordinator sees them."""

    def wait_for_hours(self) -> None:
        """Wait until a round may begin."""
        ...

    def quorum(self, without: set[int]) -> dict[int, str]:
        """Wait for the sites of the next phase, `without` not counted: node id -> site name."""
        ...

    def enrolled_nodes(self) -> set[int]:
        """The nodes whose key has not been revoked."""
        ...

    def fingerprint(self, node: int) -> str:
        """SHA-256 of the public key of a node, in hexadecimal."""
        ...

    def expected(self) -> set[str]:
        """The enrolled sites that may take part in this run, connected or not."""
        ...

    def receive_audit_heads(self, heads: Mapping[str, Head]) -> None:
        """Store the heads of audit logs, by site, which came with replies."""
        ...


class RoundFailed(ServerError):
    """Too few usable replies: the last checkpoint stands."""


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
    """

    def __init__(
        self,
        plan: RunPlan,
        aggregator: Aggregator,
        checkpoints: Checkpoints,
        sites: Sites,
        record: RunRecord,
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
        self._names: dict[int, str] = {}
        self._refused: set[int] = set()
        self._refused_names: set[str] = set()
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
            self.take_trained(transport.ask(self.training_requests(), self._plan.phase_timeout))
            self.take_measured(transport.ask(self.evaluation_requests(), self._plan.phase_timeout))

    def training_requests(self) -> list[Request]:
        """Wait for the sites, and return the requests with which a round begins."""
        if self._plan.hours is not None:
            self._record.enter(Phase.WAITING_FOR_HOURS)
            self._sites.wait_for_hours()
        this_round = self._checkpoints.latest.manifest.round + 1
        self._names = self._asked(Phase.TRAINING, this_round)
        self._absent = sorted(
            self._sites.expected() - set(self._names.values()) - self._refused_names
        )
        training = sorted(self._names.values())
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
        )
        self._began, self._started = now(), time.monotonic()
        return self._requests(request, Kind.TRAIN)

    def take_trained(self, replies: Sequence[Reply]) -> None:
        """Combine the sites' weights into the next model, and sign and store it.

        Raises
        ------
        RoundFailed
            If too few replies are usable.
        """
        this_round, length = self._checkpoints.latest.manifest.round + 1, self._checkpoints.length
        start = self._checkpoints.weights
        usable, dropped = self._sifted(replies, lambda reply: self._check_train(reply, length))
        # In the order of the names: sums depend on their order, and the same run gives the same model.
        trained = {self._name(reply): figures for reply, figures in usable}
        received = [
            SiteUpdate(
                (self._name(reply),), weights_of(reply.content), figures.examples, figures.examples
            )
            for reply, figures in usable
        ]
        restored = restore(self._steps, RoundUpdates(start, received))
        dropped += [Dropped(name, DropCode.OUTLIER, why) for name, why in restored.left_out.items()]
        _log_dropped(this_round, dropped)
        if len(restored.sites) < self._plan.min_sites:
            self._record.report.left_out += dropped
            raise RoundFailed(
                f"round {this_round}: {len(restored.sites)} usable replies, at least {self._plan.min_sites} are needed"
                f" ({'; '.join(map(str, dropped)) or 'no site more was asked'})",
                "See which sites dropped out, then serve again: it goes on after the last finished round",
            )
        trained = {name: trained[name] for name in restored.sites}
        counts = {name: figures.examples for name, figures in trained.items()}
        self._tell_capped(restored.updates)
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
            trained, restored, self._weights_in_model(restored.updates, vector)
        )
        self._record.announce(result)
        latest = self._checkpoints.add(
            vector, len(usable), result.examples, measured, self._aggregator.moments
        )
        self._record.confirm(latest.manifest.version)

    def evaluation_requests(self) -> list[Request]:
        """Wait for the sites, and return the requests to measure the latest model."""
        this_round = self._checkpoints.latest.manifest.round
        self._names = self._asked(Phase.MEASURING, this_round)
        request = EvaluateRequest(model=self._checkpoints.latest.signed)
        return self._requests(request, Kind.EVALUATE)

    def take_measured(self, replies: Sequence[Reply]) -> None:
        """Combine the figures on the sites' held-out patients, and store them in the report."""
        usable, dropped = self._sifted(replies, self._check_evaluate)
        result = self._record.report.rounds[-1]
        _log_dropped(result.round, dropped)
        result.dropped += dropped
        measured = {self._name(reply): figures for reply, figures in usable}
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
        self._tell_deviations(result)
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
        """Store and report the sites' verdicts on the run's final model."""
        latest = self._checkpoints.latest.manifest
        verdicts: dict[str, VerdictCode] = {self._name(reply): "unusable" for reply in refused}
        verdicts |= {
            self._name(reply): VERDICTS[figures.verdict]
            for reply, figures in usable
            if figures.verdict is not None
        }
        if not latest.is_final:
            return
        if verdicts and (
            silent := sorted({self._name(reply) for reply, _ in usable} - verdicts.keys())
        ):
            _log.info(
                f"no verdict on model {latest.version} from {', '.join(silent)}: their policy withholds it"
                ' ("verdict" is not in policy.metrics of site.toml)'
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
        names = self._sites.quorum(self._refused)
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
            for node in self._names
        ]

    def _sifted(
        self, replies: Sequence[Reply], check: Callable[[Reply], Figures]
    ) -> tuple[list[tuple[Reply, Figures]], list[Dropped]]:
        """Return the usable replies with their figures, and the sites without a usable reply."""
        # In the order of the names, because the sum of floats depends on their order.
        replies = sorted(replies, key=self._name)
        dropped, enrolled = self._silent(replies), self._sites.enrolled_nodes()
        usable: list[tuple[Reply, Figures]] = []
        heads: dict[str, Head] = {}
        for reply in replies:
            try:
                self._refuse_errors(reply)
                if reply.node not in enrolled:
                    raise UnusableReply(DropCode.REVOKED, "its key was revoked meanwhile")
                head = audit_head_of(reply.content)
                usable.append((reply, check(reply)))
                if head is not None:
                    heads[self._name(reply)] = head
            except Exception as error:  # noqa: BLE001 - no reply may end the run
                code, reason = drop_code(error), short_reason(error)
                dropped.append(Dropped(self._name(reply), code, reason))
        if heads:
            self._sites.receive_audit_heads(heads)
        return usable, dropped

    def _tell_capped(self, updates: Sequence[SiteUpdate]) -> None:
        """Report the sites that count for fewer beats than they trained on."""
        if not self._combination.weights_sites:
            return
        usual = usual_count([update.examples for update in updates])
        for update in updates:
            if update.beats < update.examples:
                _log.warning(
                    f"{', '.join(update.sites)}: {update.examples} training beats count as {update.beats:.0f}, "
                    f"{self._plan.max_weight_ratio:g} times the usual number of a site, {usual:g} (max_weight_ratio)"
                )

    def _weights_in_model(
        self, updates: Sequence[SiteUpdate], model: NDArray[np.float32]
    ) -> dict[str, float]:
        """Return each site's share of the model; empty if these shares are not known."""
        singles = {update.sites[0]: update for update in updates if len(update.sites) == 1}
        if len(singles) < len(updates):
            return {}
        if self._combination.weights_sites:
            total = sum(update.beats for update in updates)
            return {name: update.beats / total for name, update in singles.items()}
        if self._plan.strategy == "krum":
            selected = min(
                singles,
                key=lambda name: float(
                    np.abs(singles[name].weights.astype(np.float64) - model).max()
                ),
            )
            return {name: float(name == selected) for name in singles}
        return {}

    def _tell_deviations(self, result: RoundResult) -> None:
        """Store and report the sites whose figures deviate from those of the others."""
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
        vector = weights_of(reply.content)
        if vector.size != length:
            raise ValueError(f"{vector.size} weights instead of {length}")
        if not np.isfinite(vector).all():
            raise ValueError("weights that are not finite")
        self._trained_on.check(self._name(reply), figures.examples)
        return figures

    def _check_evaluate(self, reply: Reply) -> EvaluateReply:
        figures = read_reply(reply.content, EvaluateReply)
        self._held_out.check(self._name(reply), figures.examples)
        return figures

    def _refuse_errors(self, reply: Reply) -> None:
        """Raise `UnusableReply` for a refusal or failure.

        A site that refused is not asked again in this run, because it would refuse again.
        """
        if reply.error is None:
            return
        code = DropCode.FAILED
        if reply.error in REFUSALS:
            code = DropCode.REFUSED
            self._refused.add(reply.node)
            self._refused_names.add(self._name(reply))
        raise UnusableReply(code, in_words(reply.error))

    def _name(self, reply: Reply) -> str:
        return self._names.get(reply.node, "an unknown node")

    def _silent(self, replies: Sequence[Reply]) -> list[Dropped]:
        """Return the sites that were asked and did not answer."""
        return [
            Dropped(name, DropCode.NO_ANSWER, "no answer")
            for name in sorted(set(self._names.values()) - {self._name(reply) for reply in replies})
        ]

    def _last_metrics(self) -> Metrics | None:
        """Of the latest model, where it was measured."""
        last = self._record.report.rounds[-1:]
        return (
            last[0].metrics
            if last and last[0].version == self._checkpoints.latest.manifest.version
            else None
        )

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._started, 3)


def _log_dropped(this_round: int, dropped: Sequence[Dropped]) -> None:
    for each in dropped:
        _log.warning(
            f"reply dropped: {each}",
            extra=event(
                Event.REPLY_DROPPED,
                site=each.site,
                round=this_round,
                code=each.code,
                reason=each.reason,
            ),
        )


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
