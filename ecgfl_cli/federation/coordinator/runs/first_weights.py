"""Select the weights that a new run starts from.

They are those of the newest usable model, a chosen model, the starter model, or random weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.federation.coordinator.runs.global_models import GlobalModels
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.calibration import USUAL_THRESHOLD, Calibration
from ecgfl_cli.models.entries import Entry
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.starter import starter_registry

CHOOSE = "`ecgfl coordinator model list` shows the versions; or run `serve` with --from-scratch"
"""What a person can do if the chosen model cannot be used."""


@dataclass(frozen=True)
class FirstWeights:
    """The weights that a run starts from.

    Attributes
    ----------
    vector
        Weights, shape (n,).
    parent
        Version that has these weights; None if they are random.
    parent_manifest
        SHA-256 of its manifest.
    threshold
        Probability from which a beat is classified as PVC.
    calibration
        Calibration of the probabilities.
    origin
        Where the weights come from, as text.
    """

    vector: NDArray[np.float32]
    parent: str | None
    parent_manifest: str | None
    threshold: float
    calibration: Calibration
    origin: str


def first_weights(plan: RunPlan, models: GlobalModels) -> FirstWeights:
    """Return the weights that a new run of this plan starts from.

    Parameters
    ----------
    plan
        Plan of the run.
    models
        Models of the coordinator.

    Raises
    ------
    UsageError
        The --init-from version is unknown, has another architecture, was rolled back, or was
        rejected by most sites.
    ModelRejected
        The model is damaged.
    """
    if plan.from_scratch:
        return _random(plan, f"random weights (--from-scratch, seed {plan.seed})")
    if plan.init_from is not None:
        return _chosen(plan, plan.init_from, models)
    newest, _ = models.newest(plan.architecture)
    if newest is not None:
        version = newest.manifest.version
        return _of(
            models.registry,
            version,
            f"{version}, the newest usable model of this coordinator",
        )
    starter = starter_of(plan.architecture)
    if starter is not None:
        version = starter.manifest.version
        return _of(
            starter_registry(),
            version,
            f"{version}, the starter model that comes with the program",
        )
    return _random(
        plan,
        f"random weights (seed {plan.seed}): there is no starter model for {plan.architecture}",
    )


def starter_of(architecture_name: str) -> Entry | None:
    """Return the starter model of an architecture, or None if there is none."""
    registry = starter_registry()
    entry = registry.entry(registry.current() or "")
    return entry if entry.manifest.architecture == architecture_name else None


def _chosen(plan: RunPlan, version: str, models: GlobalModels) -> FirstWeights:
    starter = starter_registry()
    if version in models.registry.versions():
        registry = models.registry
    elif version in starter.versions():
        registry = starter
    else:
        raise UsageError(f"--init-from {version}: this coordinator has no such model", CHOOSE)
    manifest, _ = load_weights(registry, version)
    if manifest.architecture != plan.architecture:
        raise UsageError(
            f"--init-from {version}: its architecture is {manifest.architecture}, the run's is"
            f" {plan.architecture}",
            f"Choose a version of {plan.architecture}, or run `serve` with --arch"
            f" {manifest.architecture}",
        )
    if (
        registry is models.registry
        and (problem := models.problem(registry.entry(version))) is not None
    ):
        raise UsageError(f"--init-from {version}: {problem}", f"Choose another version: {CHOOSE}")
    return _of(registry, version, f"{version} (--init-from)")


def load_weights(registry: Registry, version: str) -> tuple[Manifest, NDArray[np.float32]]:
    """Load the manifest and the weights, shape (n,), of a version.

    Raises
    ------
    ModelRejected
        The model is damaged.
    """
    try:
        manifest, network = registry.load(version)
    except ModelRejected as error:
        raise ModelRejected(
            error.problem,
            "Restore it from your backup, or name another version with --init-from VERSION:"
            f" {CHOOSE}",
        ) from error
    return manifest, pack(network)


def _of(registry: Registry, version: str, origin: str) -> FirstWeights:
    manifest, vector = load_weights(registry, version)
    return FirstWeights(
        vector,
        version,
        registry.entry(version).signed.sha256,
        manifest.threshold,
        manifest.calibration,
        origin,
    )


def _random(plan: RunPlan, origin: str) -> FirstWeights:
    import torch  # takes a second; `serve` imports it only when it needs it

    torch.manual_seed(plan.seed)
    vector = pack(architecture(plan.architecture).build())
    return FirstWeights(vector, None, None, USUAL_THRESHOLD, Calibration(), origin)
