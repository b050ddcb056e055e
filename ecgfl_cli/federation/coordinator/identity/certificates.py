"""Check and renew the coordinator's certificates."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.federation.connection.tls import RENEW_BEFORE
from ecgfl_cli.federation.coordinator.audit import change
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.issuing import (
    SERVER_CURVE,
    ca_certificate,
    server_certificate,
)
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.federation_file import Federation, load_certificate, load_federation
from ecgfl_cli.site.private_keys import is_encrypted, load_private_key, write_private_key

RENEW = "Run `ecgfl coordinator renew`, then start `serve` again"
RENEW_CA = (
    "Run `ecgfl coordinator renew --new-ca`, start `serve` again, and send the new federation.json"
    " to every site (each site runs `ecgfl init --site NAME --federation federation.json`)"
)


@dataclass(frozen=True)
class Certificates:
    """The certificates of a coordinator.

    Attributes
    ----------
    server
        TLS certificate of `serve`.
    ca
        Certificate of the CA that sites trust, from federation.json.
    certificate
        File of the server's certificate.
    """

    server: x509.Certificate
    ca: x509.Certificate
    certificate: Path

    def warnings(self) -> list[str]:
        """Return a line for each certificate that has expired or expires within `RENEW_BEFORE`."""
        return [f"{problem}. {fix}" for problem, fix in self.problems()]

    def problems(self) -> list[tuple[str, str]]:
        """Return the warnings as pairs of problem and fix."""
        now = datetime.now(UTC)
        problems = []
        for name, certificate, fix in (
            (f"{self.certificate}: the server's certificate", self.server, RENEW),
            ("the CA's certificate in federation.json", self.ca, RENEW_CA),
        ):
            until = certificate.not_valid_after_utc
            if until < now:
                problems.append((f"{name} expired on {until:%Y-%m-%d}: no site can connect", fix))
            elif until < now + RENEW_BEFORE:
                problems.append(
                    (f"{name} expires on {until:%Y-%m-%d}; after that no site can connect", fix)
                )
        return problems


@dataclass(frozen=True)
class Renewed:
    """Result of a renewal.

    Attributes
    ----------
    until
        When the new server certificate expires.
    new_key
        Whether the server has a new key.
    new_ca
        Whether there is a new CA.
    """

    until: datetime
    new_key: bool
    new_ca: bool


def load_certificates(home: CoordinatorHome) -> Certificates:
    """Load the certificates without checking their dates.

    Raises
    ------
    UnusableInput
        A certificate is missing or broken.
    """
    federation = load_federation(home.federation)
    ca = load_certificate(federation.ca_certificate.encode())
    return Certificates(_certificate(home.server_certificate, RENEW), ca, home.server_certificate)


def check_certificates(home: CoordinatorHome) -> Certificates:
    """Load the certificates and check that sites can connect with them.

    Raises
    ------
    UnusableInput
        A certificate is missing, broken or expired, the server's key does not match its
        certificate, or the CA in federation.json did not issue that certificate.
    """
    certificates = load_certificates(home)
    server, ca = certificates.server, certificates.ca
    now = datetime.now(UTC)
    if ca.not_valid_after_utc < now:
        until = ca.not_valid_after_utc
        raise UnusableInput(
            f"the CA's certificate in {home.federation} expired on {until:%Y-%m-%d}: no site can"
            " connect",
            RENEW_CA,
        )
    if server.not_valid_after_utc < now:
        until = server.not_valid_after_utc
        raise UnusableInput(
            f"{home.server_certificate}: expired on {until:%Y-%m-%d}: no site can connect", RENEW
        )
    key = _private_key(home.server_key, RENEW)
    if server.public_key() != key.public_key():
        raise UnusableInput(
            f"{home.server_certificate} does not belong to {home.server_key.name}", RENEW
        )
    # A certificate from another issuer is allowed: the sites then join with --ca.
    if server.issuer == ca.subject and not _is_issued_by(server, ca):
        raise UnusableInput(
            f"{home.server_certificate} was not issued by the CA in {home.federation.name}", RENEW
        )
    return certificates


def renew(home: CoordinatorHome, new_key: bool = False, new_ca: bool = False) -> Renewed:
    """Replace the server's certificate.

    Sites trust the CA, so they need nothing, except with `new_ca`: then each site needs the new
    federation.json. Each file is replaced atomically. If the process is killed between two files,
    run it again to replace all of them.

    Parameters
    ----------
    home
        Home of the coordinator.
    new_key
        Replace the server's key, too. A missing key is always replaced.
    new_ca
        Replace the CA, too.

    Raises
    ------
    UnusableInput
        The CA's key is missing or belongs to another CA, the CA has expired, or another issuer
        issued the server's certificate.
    """
    federation = load_federation(home.federation)
    name = federation.server_name
    if home.server_certificate.is_file():
        _require_own(home, load_certificate(federation.ca_certificate.encode()))
    new_key = new_key or not home.server_key.is_file()
    server_key = (
        ec.generate_private_key(SERVER_CURVE)
        if new_key
        else _private_key(home.server_key, "Run it with --new-key")
    )
    if new_ca:
        ca_key = ec.generate_private_key(ec.SECP384R1())
        ca = ca_certificate(ca_key, name)
    else:
        ca, ca_key = _own_ca(home, federation)
    server = server_certificate(server_key, name, ca, ca_key)
    digest = server.fingerprint(hashes.SHA256()).hex()
    until = server.not_valid_after_utc
    encrypt = is_encrypted(
        home.signing_key
    )  # either all keys of a coordinator are encrypted or none
    details = {
        "sha256": digest,
        "until": until.isoformat(timespec="seconds"),
        "new_key": new_key,
        "new_ca": new_ca,
    }
    with change(home, "renewed", **details):
        if new_ca:
            write_private_key(home.ca_key, ca_key, encrypt)
            atomic_write_bytes(home.ca_certificate, _pem(ca))
        if new_key:
            write_private_key(home.server_key, server_key, encrypt)
        atomic_write_bytes(home.server_certificate, _pem(server))
        if new_ca:
            changed = federation.model_copy(update={"ca_certificate": _pem(ca).decode()})
            atomic_write_bytes(home.federation, changed.to_bytes())
    return Renewed(until, new_key, new_ca)


def _own_ca(
    home: CoordinatorHome, federation: Federation
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the CA that the sites trust, and its key."""
    fix = (
        "Put the CA's key back for this command. If it is lost, run `ecgfl coordinator renew"
        " --new-ca`; each site then needs the new federation.json"
    )
    ca = load_certificate(federation.ca_certificate.encode())
    key = _private_key(home.ca_key, fix)
    if ca.public_key() != key.public_key():
        raise UnusableInput(f"{home.ca_key}: not the key of the CA in {home.federation.name}", fix)
    until = ca.not_valid_after_utc
    if until < datetime.now(UTC):
        raise UnusableInput(
            f"the CA's certificate in {home.federation} expired on {until:%Y-%m-%d}", RENEW_CA
        )
    return ca, key


def _require_own(home: CoordinatorHome, ca: x509.Certificate) -> None:
    try:
        server = load_certificate(home.server_certificate.read_bytes())
    except ValueError:
        return  # a broken certificate is replaced
    if server.issuer != ca.subject:
        raise UnusableInput(
            f"{home.server_certificate}: issued by {server.issuer.rfc4514_string()}, not by this"
            " coordinator's CA",
            "Ask that issuer to renew it; or move it away and run this command again, then sites"
            " join without --ca",
        )


def _certificate(path: Path, fix: str) -> x509.Certificate:
    try:
        return load_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UnusableInput(
            f"{path}: not a usable certificate: {error}",
            f"Restore it from your backup. Without one: {fix}",
        ) from error


def _private_key(path: Path, fix: str) -> ec.EllipticCurvePrivateKey:
    key = load_private_key(path, f"Restore it from your backup. {fix}")
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UnusableInput(f"{path}: not an ECDSA key", f"Restore it from your backup. {fix}")
    return key


def _is_issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
