"""What a client tells a server of itself and of the model it wants, and what it trusts."""

import pathlib

from export.versions import HIGHEST_VERSION


def check_credentials(secure, root_certificates, token):
    """Raises ValueError for credentials that need TLS and do not have it, or a token that is no header."""
    if not secure and (token is not None or root_certificates is not None):
        raise ValueError(
            "`token` and `root_certificates` need TLS: `tls=True` for gRPC, https:// for REST. Received: a connection without"
        )
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise ValueError("`token` must be printable ASCII without spaces. Received: other characters, or none")


def read_certificates(path):
    """The bytes of a PEM file. Raises ValueError for what is none."""
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"`root_certificates` must be a PEM file. Received: {path}: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in data or not data.isascii():
        raise ValueError(f"`root_certificates` must be a PEM file. Received: {path}, without a certificate")
    return data


def check_version(version):
    """Raises ValueError for what is neither None nor the number of a version."""
    if version is not None and not (type(version) is int and 1 <= version <= HIGHEST_VERSION):
        raise ValueError(f"`version` must be an int from 1 to {HIGHEST_VERSION}, or None. Received: {version!r}")
