"""Check a coordinator's home: keys, certificates, plan, audit log, models and sites."""

from collections.abc import Iterator

from ecgfl_cli.doctor.check import Check, checked
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.federation.coordinator.audit import audit_log
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.certificates import check_certificates
from ecgfl_cli.federation.coordinator.identity.enrolment import key_files
from ecgfl_cli.federation.coordinator.identity.signing_keys import (
    WARN_BEFORE,
    coordinator_registry,
    require_serving,
)
from ecgfl_cli.federation.coordinator.runs.plan_file import resolve
from ecgfl_cli.models.manifest import public_key_text
from ecgfl_cli.times import current_time


def check_coordinator(home: CoordinatorHome) -> Iterator[Check]:
    """Check what `coordinator serve` needs. Changes nothing."""
    yield from checked("coordinator's signing key", lambda: _signing_key(home))
    yield from checked("coordinator's certificate", lambda: _certificates(home))
    yield from checked("coordinator's plan", lambda: f"{resolve(home.plan, {}).rounds} rounds")
    yield from checked(
        "coordinator's audit log", lambda: f"{len(audit_log(home).entries())} lines, unbroken"
    )
    yield from checked("coordinator's models", lambda: _models(home))
    yield from checked("enrolled sites", lambda: _sites(home))


def _signing_key(home: CoordinatorHome) -> str:
    home.require()
    trust = require_serving(home)
    if trust.expires is not None and trust.expires < current_time() + WARN_BEFORE:
        raise UnusableInput(
            f"{home.roots}: the root metadata expires on {trust.expires:%Y-%m-%d}",
            "Run `ecgfl coordinator root`, with root.key in its place or --root-key FILE",
        )
    return f"public key {public_key_text(trust.active[0])}"


def _certificates(home: CoordinatorHome) -> str:
    certificates = check_certificates(home)
    if problems := certificates.problems():
        raise UnusableInput(*problems[0])
    until, ca_until = certificates.server.not_valid_after_utc, certificates.ca.not_valid_after_utc
    return f"valid until {until:%Y-%m-%d}, its CA until {ca_until:%Y-%m-%d}"


def _models(home: CoordinatorHome) -> str:
    registry = coordinator_registry(home)
    for version in registry.versions():
        registry.load(version)
    return f"{len(registry.versions())}, all intact"


def _sites(home: CoordinatorHome) -> str:
    keys = key_files(home)
    if keys.problems:
        raise UnusableInput("; ".join(keys.problems), "Until then these sites cannot connect")
    return f"{len(keys.sites)}"
