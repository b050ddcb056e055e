"""A coordinator's part of a home: its CA, server certificate, signing key, enrolled sites and global models."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.federation.coordinator.plan_file import write_plan
from ecgfl_cli.federation.federation_file import FEDERATION_SCHEMA, Federation
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.manifest import public_key_text
from ecgfl_cli.site.keys import PRIVATE

CA_YEARS, SERVER_YEARS = 10, 2
DAYS_A_YEAR = 365
CLOCK_SKEW = timedelta(hours=1)
HOST_NAME = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)


@dataclass(frozen=True)
class CoordinatorHome:
    """The layout of <home>/coordinator; it touches nothing."""

    root: Path

    @property
    def ca_certificate(self) -> Path:
        return self.root / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.root / "ca.key"

    @property
    def server_certificate(self) -> Path:
        return self.root / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.root / "server.key"

    @property
    def signing_key(self) -> Path:
        return self.root / "signing.key"

    @property
    def federation(self) -> Path:
        return self.root / "federation.json"

    @property
    def plan(self) -> Path:
        return self.root / "federation.toml"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def optimiser(self) -> Path:
        return self.root / "optimiser"

    @property
    def sites(self) -> Path:
        return self.root / "sites"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def require(self) -> None:
        """Raises `UsageError` when `ecgfl coordinator init` has not made it, `UnusableInput` when a file of it is gone."""
        if not self.federation.is_file():
            raise UsageError(
                f"{self.root} is not the home of a coordinator: {self.federation.name} is missing",
                "Run `ecgfl coordinator init --name HOSTNAME` first, or name the right folder with --home DIR",
            )
        for path in (self.server_certificate, self.server_key, self.signing_key):
            if not path.is_file():
                raise UnusableInput(f"{path}: missing", "Restore it from your backup")


def make_coordinator(home: CoordinatorHome, name: str) -> Federation:
    """Make the CA, the server certificate (for `name`, localhost and 127.0.0.1), the signing key and federation.json.

    Raises `UsageError` when there is a coordinator already: new keys would lock every site out.
    """
    if home.federation.is_file():
        raise UsageError(f"{home.root} holds a coordinator already", "Use it as it is, or choose another --home DIR")
    if _address(name) is None and not HOST_NAME.fullmatch(name):
        raise UsageError(f"--name {name!r} is no host name", "Give the name under which sites reach this machine")
    home.sites.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP384R1())
    server_key = ec.generate_private_key(ec.SECP384R1())
    signing_key = ed25519.Ed25519PrivateKey.generate()
    ca = _ca_certificate(ca_key, name)
    server = _server_certificate(server_key, name, ca, ca_key)
    for path, key in ((home.ca_key, ca_key), (home.server_key, server_key), (home.signing_key, signing_key)):
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        atomic_write_bytes(path, pem, mode=PRIVATE)
    atomic_write_bytes(home.ca_certificate, ca.public_bytes(serialization.Encoding.PEM))
    atomic_write_bytes(home.server_certificate, server.public_bytes(serialization.Encoding.PEM))
    federation = Federation.model_validate(
        {
            "schema": FEDERATION_SCHEMA,
            "server_name": name,
            "ca_certificate": ca.public_bytes(serialization.Encoding.PEM).decode(),
            "signing_public_key": public_key_text(signing_key.public_key()),
        }
    )
    if not home.plan.is_file():
        write_plan(home.plan)
    atomic_write_bytes(home.federation, federation.to_bytes())
    return federation


def load_signing_key(home: CoordinatorHome) -> ed25519.Ed25519PrivateKey:
    """Raises `UnusableInput` when the key is missing or broken."""
    try:
        key = serialization.load_pem_private_key(home.signing_key.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise UnusableInput(f"{home.signing_key}: not a usable private key: {error}", "Restore it from your backup") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UnusableInput(f"{home.signing_key}: not an Ed25519 key", "Restore it from your backup")
    return key


def _ca_certificate(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ecgfl CA of {name}"[:64])])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        _builder(subject, subject, key.public_key(), CA_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey, name: str, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    own, loopback = _address(name), ipaddress.ip_address("127.0.0.1")
    names = dict.fromkeys(("localhost",) if own else (name, "localhost"))
    addresses = dict.fromkeys((own, loopback) if own else (loopback,))
    alternatives = [*(x509.DNSName(each) for each in names), *(x509.IPAddress(each) for each in addresses)]
    return (
        _builder(subject, ca.subject, key.public_key(), SERVER_YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA384())
    )


def _address(name: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, years: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=years * DAYS_A_YEAR))
    )
