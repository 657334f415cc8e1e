"""TLS contexts, made once: reading the machine's certificates takes 30 milliseconds of a processor, which a try can't afford."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def for_smtp(*, loopback: bool) -> ssl.SSLContext:
    """For SMTP servers: the system's authorities. A server on loopback has no name that a certificate could carry. Blocking."""
    if not loopback:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@cache
def for_webhooks() -> ssl.SSLContext:
    """For webhooks, on loopback too: certifi's authorities, or those that SSL_CERT_FILE or SSL_CERT_DIR name. Blocking."""
    return httpx.create_ssl_context()
