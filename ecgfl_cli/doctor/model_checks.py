"""Check federation.json and the site's models."""

from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography import x509

from ecgfl_cli.doctor.check import Check, checked
from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.federation.connection.tls import RENEW_BEFORE
from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.provenance import lineage
from ecgfl_cli.models.site_models import registry_of, site_registry, site_trust
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.settings import load_settings


def check_models(home: Home) -> Iterator[Check]:
    """Check federation.json and the models of the site."""
    yield from checked("federation", lambda: _federation(home))
    yield from checked("model", lambda: _model(home))


def _federation(home: Home) -> str:
    if not home.federation.is_file():
        raise UsageError(
            f"{home.federation} is missing",
            "Get it from the coordinator: `ecgfl init --site NAME --federation federation.json`",
        )
    federation = load_federation(home.federation)
    load_settings(home.settings).policy.allow_coordinator(federation.signing_public_key)
    until = x509.load_pem_x509_certificate(federation.ca_certificate.encode()).not_valid_after_utc
    if until < datetime.now(UTC) + RENEW_BEFORE:
        expires = "expires" if until > datetime.now(UTC) else "expired"
        raise UnusableInput(
            f"{home.federation}: the coordinator's CA certificate {expires} on {until:%Y-%m-%d}",
            "Ask the coordinator for a new federation.json (`ecgfl coordinator renew --new-ca` "
            "creates it), then run `ecgfl init --site NAME --federation federation.json`",
        )
    trust = site_trust(home)
    if trust is not None:
        trust.new(datetime.now(UTC))
    return f"coordinator {federation.server_name}, its CA valid until {until:%Y-%m-%d}"


def _model(home: Home) -> str:
    registry = registry_of(home, None)
    current = registry.current()
    if current is None:
        raise UsageError("there is no model, not even the starter model", "Install ecgfl again")
    manifest, _ = registry.load(current)
    received = site_registry(home)
    for version in received.versions():
        received.load(version)
    lineage(received)
    if current not in received.versions():
        return f"{manifest.version}, the starter model"
    return f"{manifest.version}, one of {len(received.versions())} intact models"
