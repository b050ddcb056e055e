"""Server certificates that a coordinator's CA might have issued, the bad ones too."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ecgfl_cli.federation.coordinator.home import CoordinatorHome

DAY = timedelta(days=1)


def certify(
    home: CoordinatorHome,
    name: str = "localhost",
    begins: timedelta = -DAY,
    ends: timedelta = 365 * DAY,
) -> None:
    """Give the coordinator a new key, and a certificate for `name` with this validity."""
    ca = x509.load_pem_x509_certificate(home.ca_certificate.read_bytes())
    ca_key = serialization.load_pem_private_key(home.ca_key.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP384R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(ca_key, hashes.SHA384())
    )
    home.server_certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    home.server_key.write_bytes(pem)
