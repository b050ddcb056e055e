"""The coordinator's global models. Each round's model is signed and written to disk before it is sent to a site."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as program_version

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.federation.aggregation import Moments
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.runs.first_weights import (
    first_weights,
    load_weights,
    starter_of,
)
from ecgfl_cli.federation.coordinator.runs.global_models import GlobalModels, Standing
from ecgfl_cli.federation.coordinator.runs.optimiser_state import OptimiserStates
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.messages import CatchUpRequest, Content, EvaluateRequest, TrainRequest
from ecgfl_cli.federation.signed_requests import seal
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.calibration import Calibrated
from ecgfl_cli.models.manifest import Manifest, Metrics, SignedManifest, validity, weights_sha256
from ecgfl_cli.models.registry import Entry, Registry, network_of
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.times import current_time


class Checkpoints:
    """The models of a run in the coordinator's registry. A killed run is resumed from them.

    latest : the last stored model. moments : state of the server optimiser after it; None before the first round and for a
    strategy without state. abandoned : last model of the previous run if that run is unfinished and is not resumed, else None.
    start : where the first weights of a new run come from, in words; None for a resumed run.
    passed_over : version -> reason, for the final models that are newer than the start of the run but may not be used.

    Raises the errors of `first_weights`, and `ModelRejected` for a damaged model.
    """

    def __init__(
        self, home: CoordinatorHome, key: ed25519.Ed25519PrivateKey, plan: RunPlan
    ) -> None:
        self._registry, self._key = Registry(home.models, key.public_key()), key
        self._phase_timeout = plan.phase_timeout
        self._models = GlobalModels(home, self._registry)
        self._models.require_whole()
        self._states = OptimiserStates(home.optimiser / plan.architecture)
        self._architecture = architecture(plan.architecture)
        self.moments: Moments | None = None
        self.abandoned: Manifest | None = None
        entries = self._registry.entries()
        self._sequence = max((entry.manifest.sequence for entry in entries), default=0)
        same = [entry for entry in entries if entry.manifest.architecture == plan.architecture]
        last = same[-1] if same else None
        self.start: str | None = None
        self.passed_over: dict[str, str] = {}
        self.resumed = False
        if last is not None and not last.manifest.is_final:
            if self._may_go_on(last, same, plan):
                manifest, self._vector = load_weights(self._registry, last.manifest.version)
                self._calibration, self._threshold = manifest.calibration, manifest.threshold
                moments = self._states.of(last.manifest.version, self.length)
                self.resumed = _goes_on(last.manifest, moments, plan)
                if self.resumed:
                    self.latest, self.moments = last, moments
                    return
            self.abandoned = last.manifest
        first = first_weights(plan, self._models)
        self._vector, self._threshold, self._calibration = (
            first.vector,
            first.threshold,
            first.calibration,
        )
        self.start = first.words
        if plan.init_from is None and not plan.from_scratch:
            self.passed_over = self._models.newest(plan.architecture)[1]
        run = self._models.new_run("")
        self.latest = self._store(
            self._manifest(run, 0, plan.rounds, first.parent, sites=0, examples=0, metrics=None)
        )

    @property
    def length(self) -> int:
        """Weights of the architecture."""
        return self._vector.size

    @property
    def weights(self) -> NDArray[np.float32]:
        """The latest model's, shape (n,)."""
        return self._vector

    def sealed(
        self,
        request: TrainRequest | EvaluateRequest | CatchUpRequest,
        weights: NDArray[np.float32],
        site: str,
    ) -> Content:
        """Sign a request of this run for one site. site : SHA-256 of its public node key, in hexadecimal."""
        return seal(
            request, weights, site, self.latest.manifest.run, self._key, self._phase_timeout
        )

    def last_final(self) -> tuple[str, Callable[[str], Content]] | None:
        """Return the version of the newest usable final model, and a function that makes the request to send it to a site.

        None if there is none. A model that was rolled back, or that most sites rejected, is not usable. Raises `ModelRejected`
        if the model has expired, because sites do not accept it.
        """
        final, _ = self._models.newest(self._architecture.name, finals_only=True)
        if final is None:
            return None
        _, vector = load_weights(self._registry, final.manifest.version)
        version = final.manifest.version
        if not final.manifest.is_news(datetime.now(UTC)):
            raise ModelRejected(
                f"model {version} {'has no expiry' if final.manifest.expires is None else 'has expired'}",
                f"`ecgfl coordinator model rollback {version}` publishes it again",
            )
        request = CatchUpRequest(model=final.signed)
        return version, lambda site: self.sealed(request, vector, site)

    def tell(self, version: str, verdicts: Mapping[str, VerdictCode]) -> Standing:
        """Store verdicts of sites on a final model. If most sites reject it, it is no longer the coordinator's current model."""
        standing = self._models.tell(version, verdicts)
        if standing.is_rejected and self._registry.current() == version:
            fallback, _ = self._models.newest(self._architecture.name, finals_only=True)
            self._registry.promote(None if fallback is None else fallback.manifest.version)
        return standing

    def next_start(self) -> str | None:
        """Return the version that the next run would start from (it may be the starter model); None for random weights."""
        newest, _ = self._models.newest(self._architecture.name)
        if newest is None:
            newest = starter_of(self._architecture.name)
        return None if newest is None else newest.manifest.version

    @property
    def calibrated(self) -> Calibrated:
        """Calibration and threshold with which the next model is signed."""
        return Calibrated(self._calibration, self._threshold)

    def use(self, calibrated: Calibrated) -> None:
        """Sign the next model with this calibration and threshold."""
        self._calibration, self._threshold = calibrated.calibration, calibrated.threshold

    def add(
        self,
        vector: NDArray[np.float32],
        sites: int,
        examples: int,
        metrics: Metrics | None,
        moments: Moments | None = None,
    ) -> Entry:
        """Store the next round's model and the server optimiser's state; `metrics` are those of the model before."""
        before = self.latest
        self._vector = vector
        manifest = self._manifest(
            before.manifest.run,
            before.manifest.round + 1,
            before.manifest.rounds,
            before.manifest.version,
            sites=sites,
            examples=examples,
            metrics=metrics,
        )
        self.latest, self.moments = self._store(manifest, moments), moments
        return self.latest

    def _manifest(
        self,
        run: str,
        round_number: int,
        rounds: int,
        parent: str | None,
        sites: int,
        examples: int,
        metrics: Metrics | None,
    ) -> Manifest:
        self._sequence += 1
        digest = weights_sha256(self._vector)
        created, expires = validity(current_time())
        return Manifest(
            version=f"{self._architecture.name}-{self._sequence:04d}-{digest[:8]}",
            architecture=self._architecture.name,
            sequence=self._sequence,
            run=run,
            round=round_number,
            rounds=rounds,
            parent=parent,
            weights_sha256=digest,
            threshold=self._threshold,
            calibration=self._calibration,
            sites=sites,
            examples=examples,
            parent_metrics=metrics,
            created=created,
            expires=expires,
            program=f"ecgfl {program_version('ecgfl')}",
        )

    def _store(self, manifest: Manifest, moments: Moments | None = None) -> Entry:
        network = network_of(manifest, self._vector)
        if moments is not None:
            self._states.keep(manifest.version, moments)
        self._registry.add(SignedManifest.sign(manifest, self._key), network, "this coordinator")
        self._states.forget_others(manifest.version)
        if manifest.is_final:
            self._registry.promote(manifest.version)
        return self._registry.entry(manifest.version)

    def _may_go_on(self, last: Entry, same: Sequence[Entry], plan: RunPlan) -> bool:
        """Whether the unfinished run started from the weights that the plan specifies, and they may still be used."""
        first = next(entry for entry in same if entry.manifest.run == last.manifest.run)
        if plan.from_scratch and first.manifest.parent is not None:
            return False
        if plan.init_from is not None and first.manifest.parent != plan.init_from:
            return False
        return self._models.problem(last) is None


def _goes_on(last: Manifest, moments: Moments | None, plan: RunPlan) -> bool:
    """Whether `last` is the last model of an unfinished run with this plan, and sites still accept it."""
    begun = last.round > 0
    return (
        last.is_news(datetime.now(UTC))
        and last.rounds == plan.rounds
        and (not begun or (moments and moments.strategy) == plan.optimiser)
    )
