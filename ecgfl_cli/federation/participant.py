"""The installed client code: what a site does with the coordinator's requests. Nothing else ever touches its data."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from ecgfl_cli.federation.federation_file import Federation
from ecgfl_cli.federation.local_work import LocalWork
from ecgfl_cli.federation.promotion import allow_model, consider
from ecgfl_cli.federation.wire import (
    EvaluateRequest,
    TrainRequest,
    read_request,
)
from ecgfl_cli.models.manifest import Manifest, SignedManifest
from ecgfl_cli.models.registry import Registry, network_of
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.acceptance import Verdict
from ecgfl_cli.training.local import TrainingPlan

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
        self._work = LocalWork(home, settings.policy)
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
        plan = TrainingPlan(
            request.epochs,
            request.learning_rate,
            request.batch_size,
            request.seed,
            threads=self._policy.cpu_threads,
            proximal_mu=request.proximal_mu,
        )
        began = time.monotonic()
        trained = self._work.train(network, manifest, plan)
        where = f"round {manifest.round + 1} of {manifest.rounds}"
        self._report(f"{where}: trained on {trained.beats} beats in {time.monotonic() - began:.2f} s, loss {trained.loss:.4f}")
        return Message(content=trained.content, reply_to=message)

    def _evaluate(self, message: Message) -> Message:
        request, vector = read_request(message, EvaluateRequest)
        manifest, network = self._open(request.model, vector)
        began = time.monotonic()
        measured = self._work.measure(network, manifest)
        seconds = time.monotonic() - began
        self._registry.add(request.model, network, self._server)
        self._audit.append("model-received", version=manifest.version, sha256=manifest.weights_sha256, round=manifest.round)
        where = f"round {manifest.round} of {manifest.rounds}"
        self._report(f"{where}: model {manifest.version} received and verified, measured in {seconds:.2f} s")
        if manifest.is_final:
            self.verdict = consider(self._home, self._policy, manifest, measured.figures, measured.held_out)
            self.final = manifest.version
            self._report(f"model {manifest.version} {'accepted' if self.verdict.accepted else 'rejected'}: {self.verdict.reason}")
        for version in self._registry.prune(self._keep):
            self._audit.append("model-pruned", version=version)
        self.rounds += 1
        return Message(content=measured.content, reply_to=message)

    def _open(self, signed: SignedManifest, vector: NDArray[np.float32]) -> "tuple[Manifest, nn.Module]":
        """Everything that must hold before any data is touched: signature, policy, order, hash and shape of the weights."""
        manifest = signed.open(self._signing_key)
        allow_model(manifest, self._policy, self._registry)
        self._policy.allow_at_most("rounds", manifest.rounds, "max_rounds")
        network = network_of(manifest, vector)
        self.run = manifest.run
        return manifest, network
