"""Handle the coordinator's requests at a site.

During a run, only this module and `local_work` use the site's data.
"""

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
from ecgfl_cli.federation.release_steps.chain import require_same_steps
from ecgfl_cli.federation.signed_requests import (
    Received,
    Schema,
    lineage_of,
    read_request,
    roots_of,
)
from ecgfl_cli.federation.site.local_work import LocalWork, MeasuredModel
from ecgfl_cli.federation.site.promotion import allow_model, consider
from ecgfl_cli.federation.site.secure_training import STAGES, SecureTraining
from ecgfl_cli.logs import Event, event
from ecgfl_cli.models.federation_file import Federation
from ecgfl_cli.models.manifest import Manifest, SignedManifest, Verifier
from ecgfl_cli.models.networks import network_of
from ecgfl_cli.models.provenance import linked
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.site_models import follow_roots, model_change, prune_models, site_registry
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import fingerprint
from ecgfl_cli.site.outbox import Release, SiteStep
from ecgfl_cli.site.requests import Asked
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.acceptance import Verdict
from ecgfl_cli.training.local import TrainingPlan

if TYPE_CHECKING:
    from torch import nn


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinalModel:
    """The last model of a run.

    Attributes
    ----------
    version
        Version of the model.
    verdict
        Result of this site's acceptance test of the model.
    """

    version: str
    verdict: Verdict


class Participant:
    """One site in one run.

    Parameters
    ----------
    home
        Home of the site.
    settings
        Settings of the site, from site.toml.
    federation
        The federation that the site belongs to; its key signs the requests.
    server
        Address of the coordinator, recorded with each received model.

    Attributes
    ----------
    rounds
        Number of models that the site has measured in rounds of this run.
    run
        Identifier of the run; None before the first round.
    final
        Last model of the run; None before the last round.
    caught_up
        Final model of an earlier run that this site had missed; None if it had missed none.
    """

    def __init__(
        self,
        home: Home,
        settings: SiteSettings,
        federation: Federation,
        server: str,
    ) -> None:
        self._home = home
        self._policy = settings.policy
        self._keep_last = settings.models.keep
        self._server = server
        self._keys: Verifier = federation.signing_key
        self._registry: Registry
        self._work = LocalWork(home, settings.policy)
        self._site = fingerprint(home.node_public_key)
        self._secure = SecureTraining(home, settings.policy, self._site, self._work.requests)
        self.rounds = 0
        self.run: str | None = None
        self.final: FinalModel | None = None
        self.caught_up: FinalModel | None = None

    @property
    def steps(self) -> Sequence[SiteStep]:
        """Release steps of this site."""
        return self._work.steps

    def answer(self, kind: Kind, content: Content) -> Release:
        """Do the work of a request, and return the reply.

        Parameters
        ----------
        kind
            Kind of the request.
        content
            Content of the request, not checked yet.

        Returns
        -------
        Release
            The reply, before the release steps.

        Raises
        ------
        EcgflError
            If the request is refused or fails.
        """
        if kind is Kind.TRAIN:
            return self._train(content)
        if kind in STAGES:
            received, asked = self._read(content, STAGES[kind])
            self.run = asked.run
            return self._secure.answer(kind, received.content, asked)
        if kind is Kind.EVALUATE:
            return self._evaluate(content)
        return self._catch_up(content)

    def _train(self, content: Content) -> Release:
        """Train from a global model, and return the trained weights."""
        received, asked = self._read(content, TrainRequest)
        request = received.content
        require_same_steps(self._work.steps, request.steps)
        manifest, network = self._open(received)
        if manifest.is_final:
            raise ServerRefused(
                f"the coordinator asks for training from {manifest.version}, the last model of its "
                "run",
                "Tell the coordinator",
            )
        self.run = manifest.run
        masks = self._secure.masks(request, manifest)
        self._registry.note([request.model], self._server)
        plan = TrainingPlan(
            request.epochs,
            request.learning_rate,
            request.batch_size,
            request.seed,
            threads=self._policy.cpu_threads,
            proximal_mu=request.proximal_mu,
        )
        began = time.monotonic()
        trained = self._work.train(network, manifest, plan, asked, request.privacy)
        seconds = time.monotonic() - began
        where = f"round {manifest.round + 1} of {manifest.rounds}"
        result = (
            "with differential privacy"
            if trained.loss is None
            else f"on {trained.beats} beats, loss {trained.loss:.4f}"
        )
        _log.info(
            f"{where}: trained in {seconds:.2f} s {result}",
            extra=event(
                Event.TRAINED,
                round=manifest.round + 1,
                rounds=manifest.rounds,
                beats=trained.beats,
                seconds=round(seconds, 3),
                loss=trained.loss,
            ),
        )
        return replace(trained.release, masks=masks)

    def _evaluate(self, content: Content) -> Release:
        """Measure and keep a global model; test it too if it is the last one of its run."""
        received, asked = self._read(content, EvaluateRequest)
        manifest, network = self._open(received)
        self.run = manifest.run
        began = time.monotonic()
        measured = self._work.measure(network, manifest, asked)
        seconds = time.monotonic() - began
        self._keep(received.content.model, manifest, network)
        where = f"round {manifest.round} of {manifest.rounds}"
        _log.info(
            f"{where}: model {manifest.version} received and verified, measured in {seconds:.2f} s",
            extra=event(
                Event.MEASURED,
                round=manifest.round,
                rounds=manifest.rounds,
                model=manifest.version,
                seconds=round(seconds, 3),
            ),
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
        """Receive the final model of an earlier run, and test it if this site does not know it yet.

        The reply carries this site's verdict if the policy allows it and the model was tested here.
        """
        received, asked = self._read(content, CatchUpRequest)
        self._registry = site_registry(self._home)
        manifest = received.content.model.open(self._keys)
        if not manifest.is_final:
            raise ServerRefused(
                f"the coordinator sent model {manifest.version} of round {manifest.round} of "
                f"{manifest.rounds} outside its run, where only a final model may be sent",
                "Tell the coordinator",
            )
        if self._is_known(manifest):
            self._work.begin_without_data(asked, manifest)
        else:
            # The policy's max_rounds does not apply: the run of this model is over.
            allow_model(received.content.model, manifest, self._policy, self._registry)
            lineage = linked(manifest, lineage_of(content))
            network = network_of(manifest, received.vector)
            measured = self._work.measure(network, manifest, asked, is_catch_up=True)
            self._keep(received.content.model, manifest, network)
            self._registry.note(lineage, self._server)
            _log.info(
                f"model {manifest.version} of run {manifest.run}, which this site had missed,"
                " received and verified",
                extra=event(Event.MODEL_RECEIVED, model=manifest.version, run=manifest.run),
            )
            self.caught_up = self._judge(manifest, measured)
            self._prune()
        verdict = self._verdict_on(manifest) if "verdict" in self._work.metrics else None
        reply = CatchUpReply(nonce=secrets.randbits(63), verdict=verdict)
        return Release(Kind.CATCH_UP, figures_of(reply))

    def _read(self, content: Content, schema: type[Schema]) -> tuple[Received[Schema], Asked]:
        """Return a request after checking that it is authentic and new.

        Raises
        ------
        ServerRefused
            If the content does not match the schema.
        RequestRefused
            If the request is not signed for this site, is not valid now, or was answered before.
        """
        self._keys = follow_roots(self._home, roots_of(content)).new(datetime.now(UTC))
        received = read_request(content, schema, self._keys, self._site)
        envelope = received.envelope
        asked = Asked(envelope.id, envelope.run, envelope.expires)
        if self._work.is_known(asked):
            raise RequestRefused(
                f"the request {envelope.id} of {envelope.issued[:19]} was answered before",
                "Tell the coordinator: somebody is replaying an old request",
            )
        return received, asked

    def _verdict_on(self, manifest: Manifest) -> int | None:
        """Return the number of this site's verdict on a model; None if it was not tested here."""
        if manifest.version not in self._registry.versions():
            return None
        acceptance = self._registry.entry(manifest.version).acceptance
        if acceptance is None:
            return None
        code = acceptance.get("code", "not-worse" if acceptance.get("accepted") else "below-margin")
        return verdict_number(code) if code in VERDICTS.values() else None

    def _is_known(self, manifest: Manifest) -> bool:
        """Return whether this site has a newer model, or has already tested this one."""
        mark = self._registry.high_water_mark()
        if mark is None or mark.sequence < manifest.sequence:
            return False
        if mark.sequence > manifest.sequence:
            return True
        known = self._registry.manifests().get(manifest.version)
        has_it = manifest.version in self._registry.versions()
        return has_it and known is not None and known.acceptance is not None

    def _keep(self, signed: SignedManifest, manifest: Manifest, network: "nn.Module") -> None:
        """Add a received model to the registry of this site, and log it."""
        details = {
            "version": manifest.version,
            "sha256": manifest.weights_sha256,
            "round": manifest.round,
            "sequence": manifest.sequence,
            "manifest": signed.sha256,
        }
        with model_change(self._home, self._registry, "model-received", **details):
            self._registry.add(signed, network, self._server)

    def _judge(self, manifest: Manifest, measured: MeasuredModel) -> FinalModel:
        """Test a final model, and use it if the test accepts it."""
        verdict = consider(self._home, self._policy, manifest, measured.figures, measured.held_out)
        outcome = "accepted" if verdict.accepted else "rejected"
        _log.log(
            logging.INFO if verdict.accepted else logging.WARNING,
            f"model {manifest.version} {outcome}: {verdict.reason}",
            extra=event(
                Event.MODEL_JUDGED,
                model=manifest.version,
                accepted=verdict.accepted,
                verdict=verdict.code,
                reason=verdict.reason,
            ),
        )
        return FinalModel(manifest.version, verdict)

    def _prune(self) -> None:
        """Delete the models that the settings do not keep, and log each deletion."""
        prune_models(self._home, self._registry, self._keep_last)

    def _open(
        self, received: Received[TrainRequest] | Received[EvaluateRequest]
    ) -> "tuple[Manifest, nn.Module]":
        """Return the manifest and the network of a request's model, before any data is used.

        Checks the signature, the run, the policy, the order of models, and the hash and shape of
        the weights.

        Raises
        ------
        EcgflError
            If one of the checks fails.
        """
        self._registry = site_registry(self._home)
        manifest = received.content.model.open(self._keys)
        if manifest.run != received.envelope.run:
            raise ServerRefused(
                f"the request is of run {received.envelope.run}, but its model {manifest.version} "
                f"is of run {manifest.run}",
                "Tell the coordinator",
            )
        allow_model(received.content.model, manifest, self._policy, self._registry)
        self._policy.allow_at_most("rounds", manifest.rounds, "max_rounds")
        return manifest, network_of(manifest, received.vector)
