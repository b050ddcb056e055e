"""The global models of a run. Each is signed and written to disk before a site receives it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as program_version

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.federation.aggregation import Moments
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.signing_keys import RESTORE
from ecgfl_cli.federation.coordinator.runs.first_weights import (
    first_weights,
    load_weights,
    starter_of,
)
from ecgfl_cli.federation.coordinator.runs.global_models import GlobalModels, Standing
from ecgfl_cli.federation.coordinator.runs.optimiser_state import OptimiserStates
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import plan_sha256
from ecgfl_cli.federation.messages import CatchUpRequest, Content
from ecgfl_cli.federation.signed_requests import (
    LARGEST_LINEAGE,
    AnyRequest,
    seal,
    with_lineage,
    with_roots,
)
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.calibration import Calibrated
from ecgfl_cli.models.entries import Entry
from ecgfl_cli.models.manifest import Manifest, Metrics, SignedManifest, validity, weights_sha256
from ecgfl_cli.models.networks import network_of
from ecgfl_cli.models.provenance import ancestors
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.trust import read_roots
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.times import current_time


class Checkpoints:
    """The models of a run in the coordinator's registry. A killed run is resumed from them.

    Parameters
    ----------
    home
        Home of the coordinator.
    key
        Its signing key.
    plan
        Plan of the run.

    Attributes
    ----------
    latest
        The last stored model.
    moments
        State of the server optimiser after it; None before the first round and for a strategy
        without state.
    resumed
        Whether this is an unfinished run that continues.
    abandoned
        Last model of the previous run, if that run is unfinished and does not continue.
    start
        Where the first weights of a new run come from, as text; None for a resumed run.
    passed_over
        Reason by version, for the final models that are newer than the start of the run but may not
        be used.

    Raises
    ------
    UsageError
        The --init-from version cannot be used; see `first_weights`.
    ModelRejected
        A model is damaged.
    UnusableInput
        The state of the server optimiser is damaged.
    """

    latest: Entry
    moments: Moments | None
    resumed: bool
    abandoned: Manifest | None
    start: str | None
    passed_over: dict[str, str]

    def __init__(
        self, home: CoordinatorHome, key: ed25519.Ed25519PrivateKey, plan: RunPlan
    ) -> None:
        self._registry = Registry(home.models, key.public_key())
        self._key = key
        self._phase_timeout = plan.phase_timeout
        self._plan = plan
        self._roots = read_roots(home.roots, RESTORE)
        self._models = GlobalModels(home, self._registry)
        self._models.require_whole()
        self._states = OptimiserStates(home.optimiser / plan.architecture)
        self._architecture = architecture(plan.architecture)
        self.moments = None
        self.abandoned = None
        self.start = None
        self.passed_over = {}
        entries = self._registry.entries()
        self._sequence = max((entry.manifest.sequence for entry in entries), default=0)
        same = [entry for entry in entries if entry.manifest.architecture == plan.architecture]
        unfinished = same[-1] if same and not same[-1].manifest.is_final else None
        self.resumed = unfinished is not None and self._resume(unfinished, same, plan)
        if not self.resumed:
            self.abandoned = None if unfinished is None else unfinished.manifest
            self._begin(plan)

    def _resume(self, last: Entry, same: Sequence[Entry], plan: RunPlan) -> bool:
        """Continue an unfinished run, if it fits the plan. `same`: the architecture's models."""
        if not self._has_start_of(last, same, plan):
            return False
        manifest, self._vector = load_weights(self._registry, last.manifest.version)
        self._calibration, self._threshold = manifest.calibration, manifest.threshold
        moments = self._states.load(last.manifest.version, self.length)
        if not _fits(last.manifest, moments, plan):
            return False
        self.latest, self.moments = last, moments
        return True

    def _begin(self, plan: RunPlan) -> None:
        """Begin a new run, and store the model that it starts from."""
        first = first_weights(plan, self._models)
        self._vector = first.vector
        self._calibration, self._threshold = first.calibration, first.threshold
        self.start = first.origin
        if plan.init_from is None and not plan.from_scratch:
            self.passed_over = self._models.newest(plan.architecture)[1]
        run = self._models.new_run("")
        self.latest = self._store(
            self._manifest(
                run,
                0,
                plan.rounds,
                first.parent,
                first.parent_manifest,
                sites=0,
                examples=0,
                metrics=None,
            )
        )

    @property
    def length(self) -> int:
        """Number of weights of the architecture."""
        return self._vector.size

    @property
    def weights(self) -> NDArray[np.float32]:
        """Weights of the latest model, shape (n,)."""
        return self._vector

    def sealed(
        self,
        request: AnyRequest,
        weights: NDArray[np.float32] | None,
        site: str,
    ) -> Content:
        """Return a request of this run, signed for one site.

        Parameters
        ----------
        request
            The request.
        weights
            Weights of the model, shape (n,); None for a stage of secure aggregation.
        site
            SHA-256 of the site's public node key, in hexadecimal.
        """
        run = self.latest.manifest.run
        request_content = seal(request, weights, site, run, self._key, self._phase_timeout)
        return with_roots(request_content, self._roots)

    def last_final(self) -> tuple[str, Callable[[str], Content]] | None:
        """Return the newest final model that was not rolled back or rejected by most sites.

        Returns
        -------
        tuple or None
            Its version, and a function that returns the catch-up request for a site, given the
            SHA-256 of the site's public node key. None if there is no such model.

        Raises
        ------
        ModelRejected
            The model has expired, so that sites do not accept it.
        """
        final, _ = self._models.newest(self._architecture.name, finals_only=True)
        if final is None:
            return None
        _, vector = load_weights(self._registry, final.manifest.version)
        version = final.manifest.version
        if not final.manifest.is_news(datetime.now(UTC)):
            problem = "has no expiry" if final.manifest.expires is None else "has expired"
            raise ModelRejected(
                f"model {version} {problem}",
                f"`ecgfl coordinator model rollback {version}` publishes it again",
            )
        request = CatchUpRequest(model=final.signed)
        lineage = ancestors(self._registry, version, LARGEST_LINEAGE - 2)
        return version, lambda site: with_lineage(self.sealed(request, vector, site), lineage)

    def add_verdicts(self, version: str, verdicts: Mapping[str, VerdictCode]) -> Standing:
        """Store verdicts of sites on a final model, by site.

        If most sites reject it, another model becomes the coordinator's current one.
        """
        standing = self._models.add_verdicts(version, verdicts)
        if standing.is_rejected and self._registry.current() == version:
            fallback, _ = self._models.newest(self._architecture.name, finals_only=True)
            self._registry.promote(None if fallback is None else fallback.manifest.version)
        return standing

    def next_start(self) -> str | None:
        """Return the version that the next run would start from; None for random weights.

        It may be the starter model.
        """
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
        """Sign and store the model of the next round.

        Parameters
        ----------
        vector
            Its weights, shape (n,).
        sites
            Number of sites whose weights were combined.
        examples
            Number of their training beats.
        metrics
            Figures of the model before.
        moments
            State of the server optimiser after this round; None if the strategy has none.
        """
        before = self.latest
        self._vector = vector
        manifest = self._manifest(
            before.manifest.run,
            before.manifest.round + 1,
            before.manifest.rounds,
            before.manifest.version,
            before.signed.sha256,
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
        parent_manifest: str | None,
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
            parent_manifest=parent_manifest,
            plan_sha256=plan_sha256(self._plan),
            strategy=self._plan.strategy,
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
            self._states.save(manifest.version, moments)
        self._registry.add(SignedManifest.sign(manifest, self._key), network, "this coordinator")
        self._states.remove_others(manifest.version)
        if manifest.is_final:
            self._registry.promote(manifest.version)
        return self._registry.entry(manifest.version)

    def _has_start_of(self, last: Entry, same: Sequence[Entry], plan: RunPlan) -> bool:
        """Return whether an unfinished run has the start of the plan, and may still be used."""
        first = next(entry for entry in same if entry.manifest.run == last.manifest.run)
        if plan.from_scratch and first.manifest.parent is not None:
            return False
        if plan.init_from is not None and first.manifest.parent != plan.init_from:
            return False
        return self._models.problem(last) is None


def _fits(last: Manifest, moments: Moments | None, plan: RunPlan) -> bool:
    """Return whether sites still accept the last model of a run, and the run has this plan."""
    if not last.is_news(datetime.now(UTC)) or last.rounds != plan.rounds:
        return False
    optimiser = None if moments is None else moments.strategy
    return last.round == 0 or optimiser == plan.optimiser
