"""Compute what this site would send in a round, with the code that sends it, but send nothing."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.errors import PolicyRefused
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.messages import AUDIT
from ecgfl_cli.federation.site.local_work import LocalWork
from ecgfl_cli.federation.site.secure_training import rehearsed_masks
from ecgfl_cli.models.architecture import DEFAULT, Architecture, architecture
from ecgfl_cli.models.manifest import Manifest, weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.site_models import registry_of, site_registry
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.outbox import Release, head_fields, prepared
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.times import current_time
from ecgfl_cli.training.dataset import require_cut_beats, require_training_data
from ecgfl_cli.training.ledger.budget import PrivacyBudget
from ecgfl_cli.training.local import TrainingPlan

if TYPE_CHECKING:
    from torch import nn

_log = logging.getLogger(__name__)

SEED = 0
"""Seed for shuffling, augmentation, dropout and the weights of a fresh network."""

WEIGHTS, MASKED = "arrays/flat", "arrays/masked"
"""Names of the weights and of a masked update in the output. The values of a masked update differ
from run to run, because the masks are random."""

Values = int | float | list[int] | list[float]
"""Value of a field: one number or a list of numbers."""


@dataclass(frozen=True)
class Field:
    """One field of a reply.

    Attributes
    ----------
    name
        Name of the field.
    kind
        Type of the values, with their number if it is a list, for instance "int64[32]".
    bytes
        Number of bytes of the values as little-endian int64, float64 or float32.
    sha256
        SHA-256 of these bytes, in hexadecimal.
    value
        The values; None for weights and masked updates, which are too many to show.
    """

    name: str
    kind: str
    bytes: int
    sha256: str
    value: Values | None


@dataclass(frozen=True)
class Draft:
    """A reply that would be sent.

    Attributes
    ----------
    kind
        Kind of the request that the reply would answer.
    fields
        Fields of the reply.
    bytes
        Number of bytes of the encoded reply. A real reply differs by the few bytes that name its
        request.
    sha256
        SHA-256 of the encoded reply, in hexadecimal.
    """

    kind: str
    fields: list[Field]
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DryRun:
    """Result of a dry run.

    Attributes
    ----------
    version
        Version of the model from which the site trained; None for a fresh network.
    architecture
        Name of its architecture.
    drafts
        The replies that would be sent.
    """

    version: str | None
    architecture: str
    drafts: list[Draft]


def dry_run(home: Home, settings: SiteSettings) -> DryRun:
    """Measure the current model and train one round from it, as `join` does.

    The training uses the architecture's usual plan. Only a line in the audit log is added to the
    home.

    Parameters
    ----------
    home
        Home of the site.
    settings
        Settings of the site, from site.toml.

    Returns
    -------
    DryRun
        The replies that would be sent.

    Raises
    ------
    PolicyRefused
        If the policy would refuse the training or the measurement.
    ModelRejected
        If a file of the site's models was changed.
    UnusableInput
        If there are no training data, or the beats are not cut yet.
    """
    policy = settings.policy
    site_registry(home)
    require_training_data(home)
    version, manifest, network = _start(home, policy)
    network_architecture = architecture(manifest.architecture)
    require_cut_beats(home, network_architecture)
    if policy.dp is not None:
        PrivacyBudget(home, policy).require()
    work = LocalWork(home, policy)
    _log.info(f"training one round from {version or 'a fresh network'}; nothing is sent")
    measured = work.measure(network, manifest).release
    trained = work.train(network, manifest, _plan(network_architecture, policy)).release
    if policy.secagg == "required":
        trained = replace(trained, masks=rehearsed_masks())
    head = AuditLog(home.audit).last()
    drafts = [_draft(prepared(release, work.steps, head)) for release in (trained, measured)]
    messages = [
        {"kind": draft.kind, "bytes": draft.bytes, "sha256": draft.sha256} for draft in drafts
    ]
    AuditLog(home.audit).append("dry-run", version=version, messages=messages)
    return DryRun(version, network_architecture.name, drafts)


def _start(home: Home, policy: Policy) -> "tuple[str | None, Manifest, nn.Module]":
    """Return the version, manifest and network from which to train.

    This is the current model if the policy allows its architecture. Otherwise it is a fresh
    network of an architecture that the policy allows, with None as its version.
    """
    registry = registry_of(home, None)
    current = registry.current()
    if (
        current is not None
        and registry.entry(current).manifest.architecture in policy.architectures
    ):
        return current, *registry.load(current)
    if not policy.architectures:
        raise PolicyRefused(
            "policy.architectures in site.toml is empty: this site trains no network",
            f'Name the networks that this site may train, for instance ["{DEFAULT}"]',
        )
    import torch

    torch.manual_seed(SEED)
    name = DEFAULT if DEFAULT in policy.architectures else policy.architectures[0]
    network = architecture(name).build()
    manifest = Manifest(
        version="fresh",
        architecture=name,
        sequence=0,
        run="dry-run",
        round=0,
        rounds=1,
        parent=None,
        weights_sha256=weights_sha256(pack(network)),
        threshold=0.5,
        sites=0,
        examples=0,
        parent_metrics=None,
        created=current_time().isoformat(timespec="milliseconds"),
        program="",
    )
    return None, manifest, network


def _plan(architecture: Architecture, policy: Policy) -> TrainingPlan:
    """Return the architecture's usual plan, limited by the policy."""
    return TrainingPlan(
        min(architecture.local_epochs, policy.max_local_epochs),
        max(min(architecture.learning_rate, policy.max_learning_rate), policy.min_learning_rate),
        max(min(architecture.batch_size, policy.max_batch_size), policy.min_batch_size),
        SEED,
        threads=policy.cpu_threads,
    )


def _draft(release: Release) -> Draft:
    """Return the draft of a reply."""
    packed = FleetConnection.sample(release)
    return Draft(release.kind, list(_fields(release)), packed.size, packed.sha256)


def _fields(release: Release) -> Iterator[Field]:
    """Yield the fields of a reply: figures, head of the audit log, weights or masked update."""
    for name, values in release.figures.items():
        array = np.asarray(values)
        is_integer = np.issubdtype(array.dtype, np.integer)
        yield _field(name, array.astype("<i8" if is_integer else "<f8"), values)
    if release.head is not None:
        for name, values in head_fields(release.head).items():
            yield _field(f"{AUDIT}/{name}", np.asarray(values).astype("<i8"), values)
    if release.weights is not None:
        yield _field(WEIGHTS, release.weights.astype("<f4"), None)
    if release.masked is not None:
        yield _field(MASKED, release.masked.astype("<u4"), None)


def _field(name: str, array: NDArray[Any], value: Values | None) -> Field:
    data = array.tobytes()
    kind = array.dtype.name + (f"[{array.size}]" if array.ndim else "")
    return Field(name, kind, len(data), hashlib.sha256(data).hexdigest(), value)
