"""The coordinator's global models: each round's is signed and on the disk before anybody is sent it."""

from datetime import UTC, datetime
from importlib.metadata import version as program_version

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from flwr.app import ArrayRecord, RecordDict
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.optimiser_state import Moments, OptimiserStates
from ecgfl_cli.federation.coordinator.run_plan import RunPlan
from ecgfl_cli.federation.wire import CatchUpRequest, request_content, weights_record
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.calibration import USUAL_THRESHOLD, Calibration, enough, fit
from ecgfl_cli.models.manifest import Manifest, Metrics, SignedManifest, weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import Entry, Registry, network_of


class Checkpoints:
    """A run's models in the coordinator's registry, from where a killed run goes on.

    latest : the last model that is safely stored. moments : the server optimiser's state after it, None before its first round
    and for a strategy without one. abandoned : the last run where it did not end and is not gone on with, else None.
    """

    def __init__(self, home: CoordinatorHome, key: ed25519.Ed25519PrivateKey, plan: RunPlan) -> None:
        self._registry, self._key = Registry(home.models, key.public_key()), key
        self._states = OptimiserStates(home.optimiser / plan.architecture)
        self._architecture = architecture(plan.architecture)
        self.moments: Moments | None = None
        self.abandoned: Manifest | None = None
        entries = self._registry.entries()
        self._sequence = max((entry.manifest.sequence for entry in entries), default=0)
        same = [entry for entry in entries if self._is_same(entry.manifest)]
        parent = same[-1] if same else None
        self._vector = self._fresh(plan.seed) if parent is None else self._load(parent)
        self._calibration = Calibration() if parent is None else parent.manifest.calibration
        self._threshold = USUAL_THRESHOLD if parent is None else parent.manifest.threshold
        self.resumed = False
        if parent is not None and not parent.manifest.is_final:
            moments = self._states.of(parent.manifest.version, self.length)
            self.resumed = _goes_on(parent.manifest, moments, plan)
            if self.resumed:
                self.latest, self.moments = parent, moments
                return
            self.abandoned = parent.manifest
        run = datetime.now(UTC).strftime("%Y%m%dt%H%M%Sz")
        self.latest = self._store(self._manifest(run, 0, plan.rounds, parent, sites=0, examples=0, metrics=None))

    @property
    def length(self) -> int:
        """Weights of the architecture."""
        return self._vector.size

    @property
    def weights(self) -> NDArray[np.float32]:
        """The latest model's, shape (n,)."""
        return self._vector

    def arrays(self) -> ArrayRecord:
        """The latest model as it goes to the sites."""
        return weights_record(self._vector)

    def last_final(self) -> RecordDict | None:
        """The newest final model of an earlier run, as it goes to a site that may have missed it; None before the first."""
        finals = [entry for entry in self._registry.entries() if entry.manifest.is_final and self._is_same(entry.manifest)]
        if not finals:
            return None
        return request_content(CatchUpRequest(model=finals[-1].signed), weights_record(self._load(finals[-1])))

    def calibrate(self, others: NDArray[np.int64], pvcs: NDArray[np.int64]) -> None:
        """Fit what the next model will be signed with to the sites' held-out beats by logit; too few of them change nothing."""
        if enough(others, pvcs):
            self._calibration, self._threshold = fit(others, pvcs)

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
            before,
            sites=sites,
            examples=examples,
            metrics=metrics,
        )
        self.latest, self.moments = self._store(manifest, moments), moments
        return self.latest

    def _manifest(
        self, run: str, round_number: int, rounds: int, parent: Entry | None, sites: int, examples: int, metrics: Metrics | None
    ) -> Manifest:
        self._sequence += 1
        digest = weights_sha256(self._vector)
        return Manifest(
            version=f"{self._architecture.name}-{self._sequence:04d}-{digest[:8]}",
            architecture=self._architecture.name,
            sequence=self._sequence,
            run=run,
            round=round_number,
            rounds=rounds,
            parent=None if parent is None else parent.manifest.version,
            weights_sha256=digest,
            threshold=self._threshold,
            calibration=self._calibration,
            sites=sites,
            examples=examples,
            parent_metrics=metrics,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
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

    def _is_same(self, manifest: Manifest) -> bool:
        """Whether it is of this run's architecture."""
        return manifest.architecture == self._architecture.name

    def _load(self, entry: Entry) -> NDArray[np.float32]:
        return pack(self._registry.load(entry.manifest.version)[1])

    def _fresh(self, seed: int) -> NDArray[np.float32]:
        import torch

        torch.manual_seed(seed)
        return pack(self._architecture.build())


def _goes_on(last: Manifest, moments: Moments | None, plan: RunPlan) -> bool:
    """Whether the plan is that of the unfinished run of which this is the last model."""
    begun = last.round > 0
    return last.rounds == plan.rounds and (not begun or (moments and moments.strategy) == plan.optimiser)
