"""The models of a site: those that it received, or the starter model if it has none."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.manifest import public_key_text
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.sealed_files import PURPOSE, SealedFiles
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.models.trust import Trust, roots_text, stored_trust
from ecgfl_cli.site.audit import AuditLog, newest_number
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import derived_key

ROOT_VERSION = "root_version"
"""Field of the audit log's lines about signing keys: the version of the root metadata."""

ROOTS_FIX = (
    "Restore roots.json from your backup; or move it away, and run `ecgfl join` or "
    "`ecgfl model import FILE`, which bring it again"
)
"""What to do about lost or damaged root metadata, for messages."""

CHANGE = "models_change"
"""Field of the audit log's lines about models: the number of the change (`Registry`)."""


def site_trust(home: Home) -> Trust | None:
    """Return the signing keys of a site's federation; None if it has none.

    Raises
    ------
    ModelRejected
        roots.json is damaged, or older than the audit log says.
    UnusableInput
        The site's federation.json is damaged.
    """
    if not home.federation.is_file():
        return None
    trust = _stored_trust(home)
    _require_logged_version(home, trust)
    return trust


def _stored_trust(home: Home) -> Trust:
    return stored_trust(load_federation(home.federation).signing_key, home.roots, ROOTS_FIX)


def _require_logged_version(home: Home, trust: Trust) -> None:
    """Raise `ModelRejected` if the audit log has a newer version of the root metadata."""
    logged = newest_number(home.audit, ROOT_VERSION)
    if trust.version < logged:
        raise ModelRejected(
            f"{home.roots}: version {trust.version} of the root metadata, and {home.audit.name} "
            f"has version {logged}",
            ROOTS_FIX,
        )


def follow_roots(home: Home, roots: Sequence[str]) -> Trust:
    """Return the signing keys after the root metadata that came with a request or a model.

    Parameters
    ----------
    home
        The site's home, whose lock the caller holds. A new version is stored and logged.
    roots
        Every version of the root metadata, oldest first; empty from a coordinator without.

    Raises
    ------
    ModelRejected
        The metadata is broken, not signed by enough root keys, or older than the known one, or
        roots.json is damaged.
    UsageError, UnusableInput
        federation.json is missing or damaged.
    """
    known = _stored_trust(home)
    trust = known.followed_by(roots)
    _require_logged_version(home, trust)
    if trust.version > known.version:
        keys = [public_key_text(key) for key in trust.active]
        with AuditLog(home.audit).change("signing-keys-changed", keys=keys) as logged_too:
            logged_too[ROOT_VERSION] = trust.version
            atomic_write_bytes(home.roots, roots_text(trust.roots).encode(), mode=0o600)
    return trust


def sealed_files(home: Home) -> SealedFiles:
    """Return the files of a site's models, with their record.

    Raises
    ------
    UnusableInput
        The site's federation.json is damaged.
    """
    federation = load_federation(home.federation) if home.federation.is_file() else None
    return SealedFiles(
        home.models,
        lambda: derived_key(home, PURPOSE),
        "" if federation is None else federation.signing_public_key,
        lambda: newest_number(home.audit, CHANGE),
    )


def unchecked_registry(home: Home) -> Registry:
    """Return the models that a site received, whose files may be damaged.

    Raises
    ------
    UnusableInput
        The site's federation.json is damaged.
    """
    trust = site_trust(home)
    return Registry(sealed_files(home), None if trust is None else trust.held)


def site_registry(home: Home) -> Registry:
    """Check every file of the models that a site received, and return the models.

    Raises
    ------
    ModelRejected
        A file was changed, added or removed by anything else than ecgfl.
    UnusableInput
        The site's federation.json is damaged.
    """
    registry = unchecked_registry(home)
    registry.require_intact()
    return registry


@contextlib.contextmanager
def model_change(home: Home, registry: Registry, event: str, **details: Any) -> Iterator[None]:
    """Log a change of a site's models, with the number that the record then has.

    Parameters
    ----------
    home
        The site's home, whose lock the caller holds.
    registry
        Its models, which the block changes.
    event, **details
        As for `AuditLog.change`.
    """
    with AuditLog(home.audit).change(event, **details) as logged:
        yield
        logged[CHANGE] = registry.change_number()


def prune_models(home: Home, registry: Registry, keep: int) -> None:
    """Remove the weights of old versions, and log each version.

    Parameters
    ----------
    home
        The site's home, whose lock the caller holds.
    registry
        Its models.
    keep
        How many of the newest versions stay.
    """
    for version in registry.prune(keep):
        details = {"version": version, CHANGE: registry.change_number()}
        AuditLog(home.audit).append("model-pruned", **details)


def registry_of(home: Home, version: str | None) -> Registry:
    """Return the registry that holds a version: the site's own, or that of the starter model.

    Parameters
    ----------
    home
        The site's home. It need not exist.
    version
        The model's version; None for the current one.

    Raises
    ------
    ModelRejected
        A file of the site's models was changed by anything else than ecgfl.
    UnusableInput
        The site's federation.json is damaged.
    """
    site = site_registry(home)
    version = version or site.current()
    starter = starter_registry()
    if version is None or (version not in site.versions() and version in starter.versions()):
        return starter
    return site
