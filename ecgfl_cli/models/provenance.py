"""Trace a model back to the first one: each manifest names its parent by version and hash."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.entries import Entry
from ecgfl_cli.models.manifest import Manifest, SignedManifest
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.starter import starter_registry

TELL = "Do not use it; tell the coordinator"


@dataclass(frozen=True)
class Lineage:
    """The ancestors of a model, as far as they are known.

    Attributes
    ----------
    versions : list of str
        The model and its ancestors, newest first.
    missing : str or None
        Parent of the last of them that was never received here; None if the last one has no
        parent or is the starter model.
    """

    versions: list[str]
    missing: str | None


def require_lineage(signed: SignedManifest, manifest: Manifest, registry: Registry) -> None:
    """Check that a model's parent is the model that is known under its name.

    Parameters
    ----------
    signed, manifest
        The manifest of the model.
    registry
        The models that are known.

    Raises
    ------
    ModelRejected
        The known parent has another hash or a higher number, or another model was made in the
        round before.
    """
    _check(signed, manifest, registry.manifests(), _starters())


def lineage(registry: Registry) -> Lineage:
    """Check the parent of every known manifest, and trace the newest model back.

    The manifests that were pruned count, too.

    Raises
    ------
    ModelRejected
        A parent is not the model that is known under its name.
    """
    known, starters = registry.manifests(), _starters()
    for entry in known.values():
        _check(entry.signed, entry.manifest, known, starters)
    newest = registry.newest_mark()
    version = None if newest is None else newest.version
    versions: list[str] = []
    while version is not None and version in known:
        versions.append(version)
        version = known[version].manifest.parent
    if version in starters and versions:
        return Lineage([*versions, str(version)], None)
    return Lineage(versions, version)


def ancestors(registry: Registry, version: str, largest: int) -> list[SignedManifest]:
    """Return the manifests of a version's ancestors, newest first.

    Parameters
    ----------
    registry
        The models that are known.
    version
        The version.
    largest
        Largest number of characters of all manifests together. The oldest ones are left out.
    """
    known = registry.manifests()
    found: list[SignedManifest] = []
    parent = known[version].manifest.parent
    while parent is not None and parent in known:
        entry = known[parent]
        largest -= len(entry.signed.model_dump_json()) + 1
        if largest < 0:
            break
        found.append(entry.signed)
        parent = entry.manifest.parent
    return found


def linked(manifest: Manifest, offered: Sequence[SignedManifest]) -> list[SignedManifest]:
    """Return the ancestors of a model whose hashes follow from its own, newest first.

    Parameters
    ----------
    manifest
        The verified manifest of the model.
    offered
        Manifests that are said to be its ancestors, newest first.

    Raises
    ------
    ModelRejected
        One of them is not the parent that the one before names, or is broken.
    """
    child, followed = manifest, []
    for signed in offered:
        if child.parent_manifest is None:
            break  # an earlier version of ecgfl made it
        if signed.sha256 != child.parent_manifest:
            raise ModelRejected(
                f"model {child.version}: the manifest that came as that of its parent "
                f"{child.parent} has the SHA-256 {signed.sha256[:12]}..., not "
                f"{child.parent_manifest[:12]}...",
                TELL,
            )
        followed.append(signed)
        child = signed.content()
    return followed


def _starters() -> Mapping[str, Entry]:
    return {entry.manifest.version: entry for entry in starter_registry().entries()}


def _check(
    signed: SignedManifest,
    manifest: Manifest,
    known: Mapping[str, Entry],
    starters: Mapping[str, Entry],
) -> None:
    if manifest.parent is None:
        return
    parent: Entry | None = known.get(manifest.parent)
    if parent is not None and parent.manifest.sequence >= manifest.sequence:
        raise ModelRejected(
            f"model {manifest.version} has number {manifest.sequence}, and its parent "
            f"{manifest.parent} has number {parent.manifest.sequence}",
            TELL,
        )
    parent = parent or starters.get(manifest.parent)
    if parent is not None and manifest.parent_manifest not in (None, parent.signed.sha256):
        raise ModelRejected(
            f"model {manifest.version} names a parent {manifest.parent} with the manifest "
            f"{str(manifest.parent_manifest)[:12]}..., and this one has "
            f"{parent.signed.sha256[:12]}...",
            TELL,
        )
    before = next(
        (
            entry.manifest
            for entry in known.values()
            if entry.manifest.run == manifest.run
            and entry.manifest.round == manifest.round - 1
            and entry.signed.sha256 != signed.sha256
        ),
        None,
    )
    if before is not None and before.version != manifest.parent:
        raise ModelRejected(
            f"model {manifest.version} of round {manifest.round} names the parent "
            f"{manifest.parent}, and the model of the round before is {before.version}",
            TELL,
        )
