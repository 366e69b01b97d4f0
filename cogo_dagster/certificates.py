"""The certificates of the authorities that this process trusts."""

import ssl
from functools import cache

import httpx


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Load them once, because it takes as long as a request; respects SSL_CERT_FILE and SSL_CERT_DIR."""
    return httpx.create_ssl_context()
