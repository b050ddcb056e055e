"""Issue the coordinator's CA certificate and server certificate."""

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_YEARS = 10
"""Validity of a CA certificate."""

SERVER_YEARS = 2
"""Validity of a server certificate."""

SERVER_CURVE = ec.SECP256R1()
"""Curve of new server keys. OpenSSL signs a TLS handshake four times as fast as with P-384."""

DAYS_A_YEAR = 365

CLOCK_SKEW = timedelta(hours=1)
"""Certificates are valid from this long before they are issued, because clocks differ."""


def ca_certificate(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    """Return a self-signed CA certificate, valid for `CA_YEARS`.

    Parameters
    ----------
    key
        Private key of the CA.
    name
        Name of the coordinator.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ecgfl CA of {name}"[:64])])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        _builder(subject, subject, key.public_key(), _in_years(CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )


def server_certificate(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Return a server certificate, valid for `SERVER_YEARS` but not longer than its CA.

    Parameters
    ----------
    key
        Private key of the server.
    name
        Host name or IP address of the server. The certificate is also valid for localhost and
        127.0.0.1.
    ca
        Certificate of the CA.
    ca_key
        Private key of the CA.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    server_address, loopback = address_of(name), ipaddress.ip_address("127.0.0.1")
    names = dict.fromkeys(("localhost",) if server_address else (name, "localhost"))
    addresses = dict.fromkeys((server_address, loopback) if server_address else (loopback,))
    alternatives = [
        *(x509.DNSName(host) for host in names),
        *(x509.IPAddress(address) for address in addresses),
    ]
    return (
        _builder(
            subject,
            ca.subject,
            key.public_key(),
            min(_in_years(SERVER_YEARS), ca.not_valid_after_utc),
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA384())
    )


def address_of(name: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    """Return a name as an IP address, or None if it is a host name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - CLOCK_SKEW)
        .not_valid_after(until)
    )


def _in_years(years: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=years * DAYS_A_YEAR)
