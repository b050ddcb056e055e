"""Publish an older model as the newest one (`ecgfl coordinator model rollback`).

A site refuses a model with a lower number than the newest one it has seen. Therefore the older
weights are signed again with the next number. The newest model itself can be published again once
it has expired. All models after the older one are marked as rolled back: no run starts from them
and no site receives them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as program_version

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.coordinator.audit import change
from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.federation.coordinator.identity.signing_keys import require_serving
from ecgfl_cli.federation.coordinator.runs.first_weights import load_weights, starter_of
from ecgfl_cli.federation.coordinator.runs.global_models import GlobalModels
from ecgfl_cli.models.entries import Entry
from ecgfl_cli.models.manifest import Manifest, SignedManifest, validity, weights_sha256
from ecgfl_cli.models.networks import network_of
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.times import current_time

LIST = "`ecgfl coordinator model list` shows the models"


@dataclass(frozen=True)
class RolledBack:
    """Result of a rollback.

    Attributes
    ----------
    version
        The new version.
    weights_of
        The older version, whose weights it has.
    withdrawn
        The final models that are now marked as rolled back.
    """

    version: str
    weights_of: str
    withdrawn: list[str]


def roll_back(home: CoordinatorHome, version: str | None) -> RolledBack:
    """Publish an older final model as the newest.

    Parameters
    ----------
    home
        Home of the coordinator.
    version
        The older model; None for the last usable final model before the newest.

    Raises
    ------
    UsageError
        There is no older model, or the version cannot be used.
    ModelRejected
        A model is damaged.
    """
    require_serving(home)
    key = load_signing_key(home)
    registry = Registry(home.models, key.public_key())
    models = GlobalModels(home, registry)
    models.require_whole()
    entries = registry.entries()
    finals = [entry for entry in entries if entry.manifest.is_final]
    if not finals:
        raise UsageError(
            "this coordinator has no final model yet", "`ecgfl coordinator serve` makes one"
        )
    newest = finals[-1].manifest
    target = (
        _before(models, finals, entries) if version is None else _named(models, version, newest)
    )
    source = registry
    if target is None:
        source = starter_registry()
        target = starter_of(newest.architecture)
        if target is None:
            raise UsageError(
                f"there is no {newest.architecture} model before {newest.version}",
                "`ecgfl coordinator serve --from-scratch` starts a run from random weights",
            )
    old, vector = load_weights(source, target.manifest.version)
    oldest = old.sequence if source is registry else 0
    withdrawn = [
        entry.manifest
        for entry in entries
        if entry.manifest.architecture == old.architecture and entry.manifest.sequence > oldest
    ]
    sequence = entries[-1].manifest.sequence + 1
    created, expires = validity(current_time())
    digest = weights_sha256(vector)
    new = Manifest(
        version=f"{old.architecture}-{sequence:04d}-{digest[:8]}",
        architecture=old.architecture,
        sequence=sequence,
        run=models.new_run("rollback-"),
        round=1,
        rounds=1,
        parent=old.version,
        parent_manifest=target.signed.sha256,
        weights_sha256=digest,
        threshold=old.threshold,
        calibration=old.calibration,
        sites=old.sites,
        examples=old.examples,
        parent_metrics=None,
        created=created,
        expires=expires,
        program=f"ecgfl {program_version('ecgfl')}",
    )
    finals_withdrawn = [manifest.version for manifest in withdrawn if manifest.is_final]
    with change(
        home,
        "rolled-back",
        version=new.version,
        weights_of=old.version,
        withdrawn=finals_withdrawn,
    ):
        # Withdraw first: after a kill in between, the next run still starts from the older model.
        models.withdraw(manifest.version for manifest in withdrawn)
        registry.add(SignedManifest.sign(new, key), network_of(new, vector), "a rollback")
        registry.promote(new.version)
    return RolledBack(new.version, old.version, finals_withdrawn)


def _before(models: GlobalModels, finals: list[Entry], entries: list[Entry]) -> Entry | None:
    """Return the last usable final model before the newest that has other weights, or None."""
    newest = finals[-1].manifest
    for entry in reversed(finals[:-1]):
        manifest = entry.manifest
        differs = manifest.weights_sha256 != newest.weights_sha256
        if (
            manifest.architecture == newest.architecture
            and differs
            and models.problem(entry, entries) is None
        ):
            return entry
    return None


def _named(models: GlobalModels, version: str, newest: Manifest) -> Entry | None:
    """Return the entry of a version; None if it is the starter model."""
    if version not in models.registry.versions():
        if version in starter_registry().versions():
            return None
        raise UsageError(f"this coordinator has no model '{version}'", LIST)
    entry = models.registry.entry(version)
    if not entry.manifest.is_final:
        raise UsageError(
            f"model {version} is from round {entry.manifest.round} of {entry.manifest.rounds}, not"
            " the final model of its run",
            LIST,
        )
    if version == newest.version and newest.is_news(datetime.now(UTC)):
        raise UsageError(f"model {version} is the newest one already", LIST)
    if entry.manifest.architecture != newest.architecture:
        raise UsageError(
            f"{version} is a {entry.manifest.architecture} model, the newest one is a"
            f" {newest.architecture} model",
            LIST,
        )
    if (problem := models.problem(entry)) is not None:
        raise UsageError(f"model {version}: {problem}", f"Choose another: {LIST}")
    return entry
