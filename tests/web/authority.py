"""A certificate authority of the tests, made anew, and certificates that it signs."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """Its own certificate lies at `path`; who trusts that file believes what it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "試験用認証局")])
        built = _builder(self.name, self.name, self.key.public_key(), 30)
        ca = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = ca.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())
        self.path = folder / "authority.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, address: str, days: int = 30) -> ssl.SSLContext:
        """TLS for a server that proves to be `address`; its certificate ends in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        built = _builder(named, self.name, key.public_key(), days)
        other = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        signed = built.add_extension(other, critical=False).sign(self.key, hashes.SHA256())
        path = self.folder / f"{address}.{days}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), min(now - DAY, now + (days - 1) * DAY), now + days * DAY
    )
