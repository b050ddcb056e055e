"""Handle the coordinator's requests at a site. Nothing else touches the site's data for a run."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ecgfl_cli.errors import RequestRefused, ServerRefused
from ecgfl_cli.federation.messages import (
    VERDICTS,
    CatchUpReply,
    CatchUpRequest,
    Content,
    EvaluateRequest,
    Kind,
    TrainRequest,
    figures_of,
    verdict_number,
)
from ecgfl_cli.federation.signed_requests import Received, Schema, read_request
from ecgfl_cli.federation.site.local_work import LocalWork, MeasuredModel
from ecgfl_cli.federation.site.promotion import allow_model, consider
from ecgfl_cli.models.federation_file import Federation
from ecgfl_cli.models.manifest import Manifest, SignedManifest
from ecgfl_cli.models.networks import network_of
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import fingerprint
from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.requests import Asked
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.acceptance import Verdict
from ecgfl_cli.training.local import TrainingPlan

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FinalModel:
    """The last model of a run. verdict : of this site's own test of it."""

    version: str
    verdict: Verdict


class Participant:
    """One site in one run.

    report : takes a line for the person who watches.
    rounds : how many models it has measured. final : the model it ended with, None before the last round. caught_up : the final
        model of an earlier run that this site had missed, None where it had not.
    """

    def __init__(
        self,
        home: Home,
        settings: SiteSettings,
        federation: Federation,
        server: str,
        report: Callable[[str], None],
    ) -> None:
        self._home, self._policy, self._keep_last = home, settings.policy, settings.models.keep
        self._signing_key, self._server, self._report = federation.signing_key, server, report
        self._registry, self._audit = (
            Registry(home.models, federation.signing_key),
            AuditLog(home.audit),
        )
        self._work = LocalWork(home, settings.policy)
        self._site = fingerprint(home.node_public_key)
        self.rounds = 0
        self.run: str | None = None
        self.final: FinalModel | None = None
        self.caught_up: FinalModel | None = None

    def answer(self, kind: Kind, content: Content) -> Release:
        """Do what a request asks for, and return what leaves the site for it.

        Raises
        ------
        EcgflError
            If the request is refused or fails.
        """
        if kind is Kind.TRAIN:
            return self._train(content)
        if kind is Kind.EVALUATE:
            return self._evaluate(content)
        return self._catch_up(content)

    def _train(self, content: Content) -> Release:
        received, asked = self._read(content, TrainRequest)
        request = received.content
        manifest, network = self._open(received)
        if manifest.is_final:
            raise ServerRefused(
                f"the coordinator asks for training from {manifest.version}, the last model of its run",
                "Tell the coordinator",
            )
        self.run = manifest.run
        plan = TrainingPlan(
            request.epochs,
            request.learning_rate,
            request.batch_size,
            request.seed,
            threads=self._policy.cpu_threads,
            proximal_mu=request.proximal_mu,
        )
        began = time.monotonic()
        trained = self._work.train(network, manifest, plan, asked)
        where = f"round {manifest.round + 1} of {manifest.rounds}"
        self._report(
            f"{where}: trained on {trained.beats} beats in {time.monotonic() - began:.2f} s, loss {trained.loss:.4f}"
        )
        return trained.release

    def _evaluate(self, content: Content) -> Release:
        received, asked = self._read(content, EvaluateRequest)
        manifest, network = self._open(received)
        self.run = manifest.run
        began = time.monotonic()
        measured = self._work.measure(network, manifest, asked)
        seconds = time.monotonic() - began
        self._keep(received.content.model, manifest, network)
        where = f"round {manifest.round} of {manifest.rounds}"
        self._report(
            f"{where}: model {manifest.version} received and verified, measured in {seconds:.2f} s"
        )
        if manifest.is_final:
            self.final = self._judge(manifest, measured)
            if "verdict" in self._work.metrics:
                verdict = verdict_number(self.final.verdict.code)
                figures = {**measured.release.figures, "verdict": verdict}
                measured = replace(measured, release=replace(measured.release, figures=figures))
        self._prune()
        self.rounds += 1
        return measured.release

    def _catch_up(self, content: Content) -> Release:
        """Receive the final model that this site has missed. The reply carries this site's verdict, if the policy allows it and
        the model was tested here.
        """
        received, asked = self._read(content, CatchUpRequest)
        manifest = received.content.model.open(self._signing_key)
        if not manifest.is_final:
            raise ServerRefused(
                f"the coordinator hands on model {manifest.version}, which is of round {manifest.round} of {manifest.rounds}",
                "A model from the midst of a run comes in its rounds only; tell the coordinator",
            )
        if self._is_known(manifest):
            self._work.begin_without_data(asked, manifest)
        else:
            allow_model(
                manifest, self._policy, self._registry
            )  # not its run's length: nobody asks for a round of it
            network = network_of(manifest, received.vector)
            measured = self._work.measure(network, manifest, asked, is_catch_up=True)
            self._keep(received.content.model, manifest, network)
            self._report(
                f"model {manifest.version} of run {manifest.run}, which this site had missed, received and verified"
            )
            self.caught_up = self._judge(manifest, measured)
            self._prune()
        verdict = self._verdict_on(manifest) if "verdict" in self._work.metrics else None
        reply = CatchUpReply(nonce=secrets.randbits(63), verdict=verdict)
        return Release(Kind.CATCH_UP, figures_of(reply))

    def _read(self, content: Content, schema: type[Schema]) -> tuple[Received[Schema], Asked]:
        """Read a request. Refuse it unless it is signed for this site, is valid now, and was not answered before."""
        received = read_request(content, schema, self._signing_key, self._site)
        envelope = received.envelope
        asked = Asked(envelope.id, envelope.run, envelope.expires)
        if self._work.is_known(asked):
            raise RequestRefused(
                f"the request {envelope.id} of {envelope.issued[:19]} was answered before",
                "Tell the coordinator: somebody sent an old request again",
            )
        return received, asked

    def _verdict_on(self, manifest: Manifest) -> int | None:
        """Return the number of this site's verdict on a version; None if the version was not tested here."""
        if manifest.version not in self._registry.versions():
            return None
        acceptance = self._registry.entry(manifest.version).acceptance
        if acceptance is None:
            return None
        code = acceptance.get("code", "not-worse" if acceptance.get("accepted") else "below-margin")
        return verdict_number(code) if code in VERDICTS.values() else None

    def _is_known(self, manifest: Manifest) -> bool:
        """Whether it is older than what is here, or was tested here already."""
        newest = max(
            self._registry.entries(), key=lambda entry: entry.manifest.sequence, default=None
        )
        if newest is None or newest.manifest.sequence < manifest.sequence:
            return False
        return newest.manifest.sequence > manifest.sequence or newest.acceptance is not None

    def _keep(self, signed: SignedManifest, manifest: Manifest, network: "nn.Module") -> None:
        details = {
            "version": manifest.version,
            "sha256": manifest.weights_sha256,
            "round": manifest.round,
        }
        with self._audit.change("model-received", **details):
            self._registry.add(signed, network, self._server)

    def _judge(self, manifest: Manifest, measured: MeasuredModel) -> FinalModel:
        verdict = consider(self._home, self._policy, manifest, measured.figures, measured.held_out)
        self._report(
            f"model {manifest.version} {'accepted' if verdict.accepted else 'rejected'}: {verdict.reason}"
        )
        return FinalModel(manifest.version, verdict)

    def _prune(self) -> None:
        for version in self._registry.prune(self._keep_last):
            self._audit.append("model-pruned", version=version)

    def _open(self, received: Received[Schema]) -> "tuple[Manifest, nn.Module]":
        """Everything that must hold before any data is touched: signature, policy, order, hash and shape of the weights."""
        manifest = received.content.model.open(self._signing_key)
        if manifest.run != received.envelope.run:
            raise ServerRefused(
                f"the request is of run {received.envelope.run}, its model {manifest.version} of run {manifest.run}",
                "Tell the coordinator",
            )
        allow_model(manifest, self._policy, self._registry)
        self._policy.allow_at_most("rounds", manifest.rounds, "max_rounds")
        return manifest, network_of(manifest, received.vector)
