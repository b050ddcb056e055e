"""Make a coordinator: its CA, server certificate, signing key and federation.json."""

import re

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.federation.coordinator.audit import change
from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.federation.coordinator.identity.issuing import (
    SERVER_CURVE,
    address_of,
    ca_certificate,
    server_certificate,
)
from ecgfl_cli.federation.coordinator.identity.signing_keys import first_key, make_first_root
from ecgfl_cli.federation.coordinator.runs.plan_file import write_plan
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.federation_file import (
    FEDERATION_SCHEMA,
    Federation,
    load_certificate,
    load_federation,
)
from ecgfl_cli.models.manifest import public_key_text
from ecgfl_cli.site.keys import PRIVATE_FOLDER
from ecgfl_cli.site.private import require_private
from ecgfl_cli.site.private_keys import load_private_key, write_private_key

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_NAME = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*{_LABEL}")


def make_coordinator(home: CoordinatorHome, name: str, encrypt: bool = False) -> Federation:
    """Make the CA, the server certificate, the signing key and federation.json.

    Existing keys are kept: after an interrupted `init`, or if only federation.json was lost, the
    result is the same federation.

    Parameters
    ----------
    home
        Home of the coordinator.
    name
        Host name or IP address of the server. The certificate is also valid for localhost and
        127.0.0.1.
    encrypt
        Encrypt the new private keys with the passphrase of `--passphrase-fd` or the systemd
        credential.

    Raises
    ------
    UsageError
        There already is a coordinator, or the name is not valid.
    UnusableInput
        A necessary key is missing.
    """
    if home.federation.is_file():
        known = load_federation(home.federation).server_name
        raise UsageError(
            f"{home.root} already holds the coordinator {known}; nothing was changed",
            "Continue with `ecgfl coordinator enrol PUBKEY --site NAME` and `ecgfl coordinator"
            " serve`; `ecgfl coordinator renew` makes a new server certificate; for another"
            " coordinator choose another --home DIR",
        )
    if address_of(name) is None and not HOST_NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r} is not a valid host name",
            "Give the host name or IP address at which sites reach this machine",
        )
    home.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    require_private(home.root)
    with change(home, "coordinator-made", name=name):
        home.sites.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        return _make_files(home, name, encrypt)


def _make_files(home: CoordinatorHome, name: str, encrypt: bool) -> Federation:
    signing_key = _ensure_signing_key(home, encrypt)
    ca, ca_key = _ensure_ca(home, name, encrypt)
    if not (home.server_certificate.is_file() and home.server_key.is_file()):
        if ca_key is None:
            raise UnusableInput(
                f"{home.ca_key}: missing, but needed to issue the server's certificate",
                "Restore it from your backup",
            )
        server_key = ec.generate_private_key(SERVER_CURVE)
        write_private_key(home.server_key, server_key, encrypt)
        server = server_certificate(server_key, name, ca, ca_key)
        atomic_write_bytes(home.server_certificate, server.public_bytes(serialization.Encoding.PEM))
    federation = Federation.model_validate(
        {
            "schema": FEDERATION_SCHEMA,
            "server_name": name,
            "ca_certificate": ca.public_bytes(serialization.Encoding.PEM).decode(),
            "signing_public_key": public_key_text(first_key(home) or signing_key.public_key()),
        }
    )
    if not home.plan.is_file():
        write_plan(home.plan)
    atomic_write_bytes(home.federation, federation.to_bytes())
    make_first_root(home, encrypt)
    return federation


def _ensure_signing_key(home: CoordinatorHome, encrypt: bool) -> ed25519.Ed25519PrivateKey:
    """Return the signing key. Make one if there is none and no model has been signed yet."""
    if home.signing_key.is_file():
        return load_signing_key(home)
    if home.models.is_dir() and any(home.models.iterdir()):
        raise UnusableInput(
            f"{home.signing_key}: missing, but the models in {home.models} were signed with it",
            "Restore it from your backup; without one, make a new coordinator in another --home DIR"
            " (see docs/coordinator.md)",
        )
    key = ed25519.Ed25519PrivateKey.generate()
    write_private_key(home.signing_key, key, encrypt)
    return key


def _ensure_ca(
    home: CoordinatorHome, name: str, encrypt: bool
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey | None]:
    """Return the CA's certificate and key; the key is None if it is kept elsewhere.

    Make a CA if there is none.
    """
    key: ec.EllipticCurvePrivateKey | None = None
    if home.ca_key.is_file():
        loaded = load_private_key(home.ca_key, "Restore it from your backup")
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise UnusableInput(f"{home.ca_key}: not an ECDSA key", "Restore it from your backup")
        key = loaded
    if home.ca_certificate.is_file():
        try:
            return load_certificate(home.ca_certificate.read_bytes()), key
        except ValueError as error:
            raise UnusableInput(
                f"{home.ca_certificate}: not a certificate: {error}", "Restore it from your backup"
            ) from error
    if key is None:
        key = ec.generate_private_key(ec.SECP384R1())
        write_private_key(home.ca_key, key, encrypt)
    ca = ca_certificate(key, name)
    atomic_write_bytes(home.ca_certificate, ca.public_bytes(serialization.Encoding.PEM))
    return ca, key
