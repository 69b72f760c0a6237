"""Certificates for tests of TLS, made with openssl: an authority, and certificates that it signs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kit.process import find_program


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, in PEM files."""

    cert: Path
    key: Path


def _openssl(*arguments: str | Path) -> None:
    program = find_program("openssl", "openssl")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=60)
    assert done.returncode == 0, done.stderr


def make_authority(directory: Path, name: str = "authority") -> Certificate:
    """Make a certificate that signs itself."""
    made = Certificate(directory / f"{name}.crt", directory / f"{name}.key")
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign",  # Python 3.13 asks for it, as RFC 5280
             "-days", "2", "-subj", f"/CN={name}", "-keyout", made.key, "-out", made.cert)
    return made


def make_certificate(directory: Path, authority: Certificate, names: str,
                     file_name: str = "server", *, expired: bool = False) -> Certificate:
    """Make a certificate; ``names`` as openssl's subjectAltName, such as ``DNS:ns.test,IP:127.0.0.1``.

    An ``expired`` one needs OpenSSL 3.4.
    """
    valid = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z") if expired else ("-days", "2")
    made = Certificate(directory / f"{file_name}.crt", directory / f"{file_name}.key")
    request = directory / f"{file_name}.csr"
    extensions = directory / f"{file_name}.ext"
    extensions.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={file_name}", "-keyout", made.key, "-out", request)
    _openssl("x509", "-req", *valid, "-in", request, "-CA", authority.cert, "-CAkey", authority.key,
             "-CAcreateserial", "-extfile", extensions, "-out", made.cert)
    return made
