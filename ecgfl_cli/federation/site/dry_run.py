"""What this site would send in a round, worked out by the code that sends it, and not sent."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.errors import PolicyRefused
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.messages import AUDIT
from ecgfl_cli.federation.site.local_work import LocalWork
from ecgfl_cli.models.architecture import DEFAULT, Architecture, architecture
from ecgfl_cli.models.manifest import Manifest, weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.outbox import Release, head_fields, prepared
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.times import current_time
from ecgfl_cli.training.dataset import require_cut_beats, require_training_data
from ecgfl_cli.training.local import TrainingPlan

if TYPE_CHECKING:
    from torch import nn

SEED = 0
WEIGHTS = "arrays/flat"
"""Name of the weights in the output."""
Values = int | float | list[int] | list[float]


@dataclass(frozen=True)
class Field:
    """One value of a reply. kind : its type, with the number of values where there are several.
    bytes : of the value itself, as int64, float64 or float32 in little endian; sha256 : of these
    bytes. value : None for the weights, which are too many to show.
    """

    name: str
    kind: str
    bytes: int
    sha256: str
    value: Values | None


@dataclass(frozen=True)
class Draft:
    """A reply that would be sent. kind : of the request that it answers. bytes, sha256 : of all its
    parts as they would go over the line; a real reply's differ by the few bytes that name its
    request.
    """

    kind: str
    fields: list[Field]
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DryRun:
    """version : of the model that was trained on from here, None for a fresh network."""

    version: str | None
    architecture: str
    drafts: list[Draft]


def dry_run(home: Home, settings: SiteSettings, report: Callable[[str], None]) -> DryRun:
    """Train one round here from the current model and measure that model, as `join` does, with the
    architecture's usual plan.

    Nothing in the home changes but for a line in the audit log. Raises `PolicyRefused` where this
    site would refuse, and `UnusableInput` when there is nothing to train on or its beats are not
    cut yet.
    """
    policy = settings.policy
    require_training_data(home)
    version, manifest, network = _start(home, policy)
    wanted = architecture(manifest.architecture)
    require_cut_beats(home, wanted)
    work = LocalWork(home, policy)
    report(f"training one round from {version or 'a fresh network'}; nothing is sent")
    measured = work.measure(network, manifest).release
    trained = work.train(network, manifest, _plan(wanted, policy)).release
    head = AuditLog(home.audit).last()
    drafts = [_draft(prepared(release, work.steps, head)) for release in (trained, measured)]
    messages = [
        {"kind": draft.kind, "bytes": draft.bytes, "sha256": draft.sha256} for draft in drafts
    ]
    AuditLog(home.audit).append("dry-run", version=version, messages=messages)
    return DryRun(version, wanted.name, drafts)


def _start(home: Home, policy: Policy) -> "tuple[str | None, Manifest, nn.Module]":
    """The current model where the policy allows its architecture, else a fresh network of one that
    it allows.
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
            "policy.architectures in site.toml is empty: nothing is ever trained here",
            "Name those that may be",
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


def _plan(wanted: Architecture, policy: Policy) -> TrainingPlan:
    """The usual one, within the policy."""
    return TrainingPlan(
        min(wanted.local_epochs, policy.max_local_epochs),
        max(min(wanted.learning_rate, policy.max_learning_rate), policy.min_learning_rate),
        max(min(wanted.batch_size, policy.max_batch_size), policy.min_batch_size),
        SEED,
        threads=policy.cpu_threads,
    )


def _draft(release: Release) -> Draft:
    packed = FleetConnection.sample(release)
    return Draft(release.kind, list(_fields(release)), packed.size, packed.sha256)


def _fields(release: Release) -> Iterator[Field]:
    for name, values in release.figures.items():
        array = np.asarray(values)
        whole = np.issubdtype(array.dtype, np.integer)
        yield _field(name, array.astype("<i8" if whole else "<f8"), values)
    if release.head is not None:
        for name, values in head_fields(release.head).items():
            yield _field(f"{AUDIT}/{name}", np.asarray(values).astype("<i8"), values)
    if release.weights is not None:
        yield _field(WEIGHTS, release.weights.astype("<f4"), None)


def _field(name: str, array: NDArray[Any], value: Values | None) -> Field:
    data = array.tobytes()
    kind = array.dtype.name + (f"[{array.size}]" if array.ndim else "")
    return Field(name, kind, len(data), hashlib.sha256(data).hexdigest(), value)
