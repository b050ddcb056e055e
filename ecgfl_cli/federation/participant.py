"""The installed client code: what a site does with the coordinator's requests. Nothing else ever touches its data."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from ecgfl_cli.errors import PolicyRefused
from ecgfl_cli.federation.federation_file import Federation
from ecgfl_cli.federation.promotion import allow_model, consider, require_sane_loss
from ecgfl_cli.federation.wire import (
    EvaluateReply,
    EvaluateRequest,
    TrainReply,
    TrainRequest,
    read_request,
    reply_content,
    weights_record,
)
from ecgfl_cli.models.architecture import Architecture, architecture
from ecgfl_cli.models.manifest import Manifest, SignedManifest
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import Registry, network_of
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.acceptance import Verdict, by_patient, total
from ecgfl_cli.training.dataset import Dataset, load_dataset
from ecgfl_cli.training.local import TrainingPlan, train

if TYPE_CHECKING:
    from torch import nn


class Participant:
    """One site in one run.

    report : takes a line for the person who watches.
    rounds : how many models it has measured. final : the version it ended with, and verdict : what came of the site's test of it;
        None before the last round.
    """

    def __init__(
        self, home: Home, settings: SiteSettings, federation: Federation, server: str, report: Callable[[str], None]
    ) -> None:
        self._home, self._policy, self._keep = home, settings.policy, settings.models.keep
        self._signing_key, self._server, self._report = federation.signing_key, server, report
        self._registry, self._audit = Registry(home.models, federation.signing_key), AuditLog(home.audit)
        self._datasets: dict[str, Dataset] = {}
        self._trained = 0
        self.rounds = 0
        self.run: str | None = None
        self.final: str | None = None
        self.verdict: Verdict | None = None

    def app(self) -> ClientApp:
        """The Flower app that answers for this site."""
        app = ClientApp()

        @app.train()
        def _train(message: Message, context: Context) -> Message:  # noqa: ARG001
            return self._train(message)

        @app.evaluate()
        def _evaluate(message: Message, context: Context) -> Message:  # noqa: ARG001
            return self._evaluate(message)

        return app

    def _train(self, message: Message) -> Message:
        request, vector = read_request(message, TrainRequest)
        manifest, network = self._open(request.model, vector)
        self._trained += 1
        self._allow("rounds", self._trained, self._policy.max_rounds)
        self._allow("local epochs", request.epochs, self._policy.max_local_epochs)
        self._allow("learning rate", request.learning_rate, self._policy.max_learning_rate)
        self._allow("batch size", request.batch_size, self._policy.max_batch_size)
        wanted = architecture(manifest.architecture)
        dataset = self._dataset(wanted)
        if len(dataset.train) < self._policy.min_training_beats:
            raise PolicyRefused(
                f"{len(dataset.train)} labelled beats to train on, the policy wants {self._policy.min_training_beats}",
                "Ingest more labelled recordings, or lower policy.min_training_beats in site.toml",
            )
        plan = TrainingPlan(
            request.epochs,
            request.learning_rate,
            request.batch_size,
            request.seed,
            threads=self._policy.cpu_threads,
            proximal_mu=request.proximal_mu,
        )
        loss = require_sane_loss(train(network, wanted, dataset.train, plan), manifest)
        self._report(f"round {manifest.round + 1} of {manifest.rounds}: trained on {len(dataset.train)} beats, loss {loss:.4f}")
        reply = TrainReply(examples=len(dataset.train), pvcs=int(dataset.train.is_pvc.sum()), loss=loss)
        return Message(content=reply_content(reply, weights_record(pack(network))), reply_to=message)

    def _evaluate(self, message: Message) -> Message:
        request, vector = read_request(message, EvaluateRequest)
        manifest, network = self._open(request.model, vector)
        held_out = self._dataset(architecture(manifest.architecture)).held_out
        candidate = by_patient(network, manifest, held_out)
        measured = total(candidate)
        require_sane_loss(measured.loss, manifest)
        self._registry.add(request.model, network, self._server)
        self._audit.append("model-received", version=manifest.version, sha256=manifest.weights_sha256, round=manifest.round)
        self._report(f"round {manifest.round} of {manifest.rounds}: model {manifest.version} received and verified")
        if manifest.is_final:
            self.verdict = consider(self._home, self._policy, manifest, candidate, held_out)
            self.final = manifest.version
            self._report(f"model {manifest.version} {'accepted' if self.verdict.accepted else 'rejected'}: {self.verdict.reason}")
        for version in self._registry.prune(self._keep):
            self._audit.append("model-pruned", version=version)
        self.rounds += 1
        reply = EvaluateReply(
            examples=measured.beats,
            pvcs=measured.pvcs,
            true_positives=measured.true_positives,
            false_positives=measured.false_positives,
            loss=measured.loss,
            sensitivity=measured.sensitivity,
            precision=measured.precision,
            others_by_logit=measured.others_by_logit.tolist(),
            pvcs_by_logit=measured.pvcs_by_logit.tolist(),
        )
        return Message(content=reply_content(reply), reply_to=message)

    def _open(self, signed: SignedManifest, vector: NDArray[np.float32]) -> "tuple[Manifest, nn.Module]":
        """Everything that must hold before any data is touched: signature, policy, order, hash and shape of the weights."""
        manifest = signed.open(self._signing_key)
        allow_model(manifest, self._policy, self._registry)
        self._allow("rounds", manifest.rounds, self._policy.max_rounds)
        network = network_of(manifest, vector)
        self.run = manifest.run
        return manifest, network

    def _allow(self, what: str, asked: float, limit: float) -> None:
        if asked > limit:
            raise PolicyRefused(
                f"the coordinator asks for {what} {asked:g}, the policy allows at most {limit:g}",
                "Change the policy in site.toml if this site agrees",
            )

    def _dataset(self, wanted: Architecture) -> Dataset:
        if wanted.name not in self._datasets:
            self._datasets[wanted.name] = load_dataset(self._home, wanted)
        return self._datasets[wanted.name]
