"""The rounds of a run around any of Flower's strategies: signed models, checked replies and checkpoints."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from numpy.typing import NDArray

from ecgfl_cli.errors import ServerError
from ecgfl_cli.federation.coordinator.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.combining import Combination, capped, usual_count
from ecgfl_cli.federation.coordinator.optimiser_state import Moments
from ecgfl_cli.federation.coordinator.outliers import deviation_in_words, deviations
from ecgfl_cli.federation.coordinator.reply_checks import DeclaredBeats, update_norms, wild_updates
from ecgfl_cli.federation.coordinator.reported_figures import (
    add_measurements,
    combined_metrics,
    histograms,
    mean_loss,
    training_figures,
    weighted,
)
from ecgfl_cli.federation.coordinator.run_plan import Report, RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.run_record import RunRecord, now
from ecgfl_cli.federation.wire import (
    FLAT,
    MODEL_UNACCEPTABLE,
    REFUSALS,
    VERDICTS,
    EvaluateReply,
    EvaluateRequest,
    Reply,
    TrainReply,
    TrainRequest,
    in_words,
    read_reply,
    take_audit_head,
    weights_of,
)
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.printable import short_reason
from ecgfl_cli.site.audit import Head


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


class CheckedRounds:
    """Mixin in front of a Flower strategy: it aggregates, this decides what is sent, what is let in and what is kept.

    Flower's own `configure_*` would sample every online node without a deadline, and its `aggregate_*` ends the run over one
    reply with odd keys, takes NaN, and forgets the round.

    proximal_mu : as Flower's `FedProx` calls it; the other strategies ask for no proximal term.
    """

    proximal_mu = 0.0

    def prepare(
        self,
        plan: RunPlan,
        checkpoints: Checkpoints,
        sites: Sites,
        report: Report,
        record: RunRecord,
    ) -> None:
        self._plan, self._checkpoints, self._sites, self._report, self._record = (
            plan,
            checkpoints,
            sites,
            report,
            record,
        )
        limits = {site: limit for site, limit in (plan.sites or {}).items() if limit is not None}
        self._trained_on = DeclaredBeats(
            "training", limits, plan.max_examples, record.first_examples
        )
        self._held_out = DeclaredBeats("held-out", limits, plan.max_examples, record.first_held_out)
        self._combination = Combination.of(plan)
        self._names: dict[int, str] = {}
        self._sent: list[Message] = []
        self._refused: set[int] = set()
        self._refused_names: set[str] = set()
        self._absent: list[str] = []
        self._began, self._started = now(), time.monotonic()

    def configure_train(
        self,
        server_round: int,  # noqa: ARG002
        arrays: ArrayRecord,
        config: ConfigRecord,  # noqa: ARG002
        grid: Grid,  # noqa: ARG002
    ) -> Iterable[Message]:
        if self._plan.hours is not None:
            self._record.phase = f"waiting for the hours {self._plan.hours}"
            self._sites.wait_for_hours()
        this_round = self._checkpoints.latest.manifest.round + 1
        self._names = self._asked(f"training, round {this_round}")
        self._absent = sorted(
            self._sites.expected() - set(self._names.values()) - self._refused_names
        )
        self._report(
            f"round {this_round} of {self._plan.rounds}: training at {', '.join(sorted(self._names.values()))}"
            + (f"; absent: {', '.join(self._absent)}" if self._absent else "")
        )
        request = TrainRequest(
            model=self._checkpoints.latest.signed,
            epochs=self._plan.local_epochs,
            learning_rate=self._plan.learning_rate_in(this_round),
            batch_size=self._plan.batch_size,
            seed=self._plan.seed + this_round,
            proximal_mu=self.proximal_mu,
        )
        self._began, self._started = now(), time.monotonic()
        return self._messages(request, arrays, MessageType.TRAIN)

    def aggregate_train(
        self,
        server_round: int,  # noqa: ARG002
        replies: Iterable[Message],
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        this_round, length = self._checkpoints.latest.manifest.round + 1, self._checkpoints.length
        usable, dropped = self._sifted(replies, lambda message: self._check_train(message, length))
        norms = update_norms(
            {self._name(message): weights_of(message) for message, _ in usable},
            self._checkpoints.weights,
        )
        wild = wild_updates(norms, self._checkpoints.weights, self._plan.max_update_ratio)
        usable = [each for each in usable if self._name(each[0]) not in wild]
        dropped += [f"{name}: {why}" for name, why in wild.items()]
        for line in dropped:
            self._report(f"reply dropped: {line}")
        if len(usable) < self._plan.min_sites:
            self._record.report.left_out += dropped
            raise RoundFailed(
                f"round {this_round}: {len(usable)} usable replies, at least {self._plan.min_sites} are needed"
                f" ({'; '.join(dropped) or 'no site more was asked'})",
                "See which sites dropped out, then serve again: it goes on after the last finished round",
            )
        usable.sort(
            key=lambda answered: self._name(answered[0])
        )  # sums depend on their order: the same run gives the same model
        trained = {self._name(message): reply for message, reply in usable}
        counts = {name: reply.examples for name, reply in trained.items()}
        beats = self._counted(counts)
        messages = [weighted(message, beats[self._name(message)]) for message, _ in usable]
        vectors = {self._name(message): weights_of(message) for message in messages}
        # Flower counts from 1 again in a resumed run; FedAdam's bias correction needs the run's own count.
        arrays, metrics = super().aggregate_train(this_round, messages)  # type: ignore[misc]
        vector = np.asarray(arrays[FLAT].numpy(), dtype=np.float32)
        for name, count in counts.items():
            self._trained_on.accept(name, count)
        measured = self._last_metrics()
        loss = mean_loss(list(trained.values()), self._plan.max_weight_ratio)
        result = RoundResult(
            this_round, "", list(counts), round(sum(beats.values())), loss, dropped=dropped
        )
        result.examples_by_site, result.began, result.seconds = counts, self._began, self._elapsed()
        result.absent = self._absent
        result.by_site = training_figures(
            trained, norms, beats, self._weights_in_model(vectors, beats, vector)
        )
        self._record.announce(result)
        latest = self._checkpoints.add(
            vector, len(usable), result.examples, measured, self._moments()
        )
        self._record.confirm(latest.manifest.version)
        return self._checkpoints.arrays(), metrics

    def configure_evaluate(
        self,
        server_round: int,  # noqa: ARG002
        arrays: ArrayRecord,
        config: ConfigRecord,  # noqa: ARG002
        grid: Grid,  # noqa: ARG002
    ) -> Iterable[Message]:
        self._names = self._asked(f"measuring, round {self._checkpoints.latest.manifest.round}")
        return self._messages(
            EvaluateRequest(model=self._checkpoints.latest.signed), arrays, MessageType.EVALUATE
        )

    def aggregate_evaluate(
        self,
        server_round: int,  # noqa: ARG002
        replies: Iterable[Message],
    ) -> MetricRecord | None:
        replies = list(replies)
        usable, dropped = self._sifted(replies, self._check_evaluate)
        for line in dropped:
            self._report(f"reply dropped: {line}")
        result = self._record.report.rounds[-1]
        result.dropped += dropped
        measured = {self._name(message): reply for message, reply in usable}
        for name, reply in measured.items():
            self._held_out.accept(name, reply.examples)
        result.metrics = combined_metrics(list(measured.values()), self._combination)
        if problem := self._checkpoints.calibrate(
            histograms(list(measured.values())), self._combination
        ):
            self._report(f"round {result.round}: {problem}")
        add_measurements(result.by_site, measured)
        self._tell_deviations(result)
        refused = [
            message
            for message in replies
            if message.has_error() and message.error.code == MODEL_UNACCEPTABLE
        ]
        self._take_verdicts(result, usable, refused)
        result.seconds = self._elapsed()
        self._record.save()
        self._report(
            f"round {result.round} of {self._plan.rounds}: model {result.version}, {_in_words(result)}"
        )
        return None

    def _take_verdicts(
        self,
        result: RoundResult,
        usable: list[tuple[Message, EvaluateReply]],
        refused: list[Message],
    ) -> None:
        """Store and report the sites' verdicts on the run's final model."""
        latest = self._checkpoints.latest.manifest
        verdicts: dict[str, VerdictCode] = {self._name(message): "unusable" for message in refused}
        verdicts |= {
            self._name(message): VERDICTS[reply.verdict]
            for message, reply in usable
            if reply.verdict is not None
        }
        if not latest.is_final:
            return
        if verdicts and (
            silent := sorted({self._name(message) for message, _ in usable} - verdicts.keys())
        ):
            self._report(
                f"no verdict on model {latest.version} from {', '.join(silent)}: their policy withholds it"
                ' ("verdict" is not in policy.metrics of site.toml)'
            )
        if not verdicts:
            return
        result.verdicts = {**verdicts}
        standing = self._checkpoints.tell(latest.version, verdicts)
        self._report(f"model {latest.version}: {standing.in_words()}")
        if standing.is_rejected:
            start = self._checkpoints.next_start()
            self._report(
                f"most sites rejected model {latest.version}: no run starts from it;"
                f" the next starts from {start or 'random weights'}"
            )

    def _asked(self, phase: str) -> dict[int, str]:
        """The sites of the next phase, once they are there."""
        self._record.phase = "waiting for sites"
        names = self._sites.quorum(self._refused)
        self._record.phase = phase
        return names

    def _messages(
        self, request: TrainRequest | EvaluateRequest, arrays: ArrayRecord, kind: str
    ) -> list[Message]:
        self._sent = [
            Message(
                content=self._checkpoints.sealed(request, arrays, self._sites.fingerprint(node)),
                dst_node_id=node,
                message_type=kind,
            )
            for node in self._names
        ]
        return self._sent

    def _sifted(
        self, replies: Iterable[Message], check: Callable[[Message], Reply]
    ) -> tuple[list[tuple[Message, Reply]], list[str]]:
        """The replies that `check` takes, with what it made of them, and a line for each site whose reply is missing or bad."""
        replies = sorted(
            replies, key=self._name
        )  # not as they came in: a sum of floats depends on its order
        dropped, enrolled = self._silent(replies), self._sites.enrolled_nodes()
        usable: list[tuple[Message, Reply]] = []
        heads: dict[str, Head] = {}
        for message in replies:
            try:
                self._refuse_errors(message)
                if self._node(message) not in enrolled:
                    raise ValueError("its key was revoked meanwhile")
                head = take_audit_head(message)
                usable.append((message, check(message)))
                if head is not None:
                    heads[self._name(message)] = head
            except Exception as error:  # noqa: BLE001 - a site's reply may break any parser; it costs that site alone
                dropped.append(f"{self._name(message)}: {short_reason(error)}")
        if heads:
            self._sites.receive_audit_heads(heads)
        return usable, dropped

    def _counted(self, counts: dict[str, int]) -> dict[str, float]:
        """Return the number of beats that each site counts for, and report the sites whose number is capped."""
        beats = dict(
            zip(counts, capped(list(counts.values()), self._plan.max_weight_ratio), strict=True)
        )
        for name, count in counts.items():
            if beats[name] < count and self._combination.weights_sites:
                self._report(
                    f"{name}: {count} training beats count as {beats[name]:.0f}, {self._plan.max_weight_ratio:g} times the"
                    f" usual number of a site, {usual_count(list(counts.values())):g} (max_weight_ratio)"
                )
        return beats

    def _weights_in_model(
        self,
        vectors: dict[str, NDArray[np.float32]],
        beats: dict[str, float],
        model: NDArray[np.float32],
    ) -> dict[str, float]:
        """Return each site's share of the model; empty if the strategy has no such shares."""
        if self._combination.weights_sites:
            return {name: count / sum(beats.values()) for name, count in beats.items()}
        if self._plan.strategy == "krum":
            selected = min(
                vectors,
                key=lambda name: float(np.abs(vectors[name].astype(np.float64) - model).max()),
            )
            return {name: float(name == selected) for name in vectors}
        return {}

    def _tell_deviations(self, result: RoundResult) -> None:
        """Store and report the sites whose figures deviate from those of the others."""
        for name, figures in deviations(result.by_site).items():
            result.by_site[name].deviates = figures
            self._report(
                f"{name} deviates from the other sites in round {result.round}: {deviation_in_words(result, name)}"
            )

    def _check_train(self, message: Message, length: int) -> TrainReply:
        reply = read_reply(message, TrainReply)
        vector: NDArray[np.float32] = weights_of(message)
        if vector.size != length:
            raise ValueError(f"{vector.size} weights instead of {length}")
        if not np.isfinite(vector).all():
            raise ValueError("weights that are not finite")
        self._trained_on.check(self._name(message), reply.examples)
        return reply

    def _check_evaluate(self, message: Message) -> EvaluateReply:
        reply = read_reply(message, EvaluateReply)
        self._held_out.check(self._name(message), reply.examples)
        return reply

    def _refuse_errors(self, message: Message) -> None:
        """A site that refused is not asked again in this run: nothing it refuses will change."""
        if message.has_error():
            code = message.error.code
            if code in REFUSALS:
                self._refused.add(self._node(message))
                self._refused_names.add(self._name(message))
            raise ValueError(in_words(code))

    def _node(self, message: Message) -> int:
        """The node that a reply is from; Flower itself answers for one that has gone."""
        asked = {sent.metadata.message_id: sent.metadata.dst_node_id for sent in self._sent}
        return asked.get(message.metadata.reply_to_message_id, message.metadata.src_node_id)

    def _name(self, message: Message) -> str:
        return self._names.get(self._node(message), "an unknown node")

    def _silent(self, replies: list[Message]) -> list[str]:
        """A line for each site that was asked and did not answer."""
        return [
            f"{name}: no answer"
            for name in sorted(set(self._names.values()) - {self._name(reply) for reply in replies})
        ]

    def _moments(self) -> Moments | None:
        """What the strategy must remember of this round besides the weights."""
        return None

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
