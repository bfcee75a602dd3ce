"""Whom a client of TLS trusts. The one place that makes a context, for gateway, runner, `check` and settings."""

import ssl
from pathlib import Path


def trusting(ca_file: str | Path | None) -> ssl.SSLContext:
    """What the system trusts, and the certificates of a PEM file beside it.

    Raises OSError when the file cannot be read, ssl.SSLError (which is one) when it holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
