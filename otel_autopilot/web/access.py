"""Who may talk to the API. Loopback is not authentication: a web page in a browser on this machine reaches it too.

Host names are checked against DNS rebinding, origins against posts from other sites, and beyond loopback a token is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from otel_autopilot.errors import SettingsError
from otel_autopilot.settings import Settings

#: Fewest characters of a token.
SHORTEST_TOKEN = 16
#: How long a browser that gave the token once need not give it again, in seconds.
SESSION_SECONDS = 43_200
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Refusal:
    """A request that is not let in."""

    status: int
    detail: str


@dataclass(frozen=True)
class AccessPolicy:
    """The names that the API answers to, and the token that it asks for."""

    hosts: frozenset[str]
    token: bytes | None

    @classmethod
    def from_settings(cls, settings: Settings) -> AccessPolicy:
        """Raises SettingsError when the API would be open to others without a token, or the token can't be read."""
        token = _read_token(settings.api_token_file) if settings.api_token_file else None
        if token is None and not is_loopback(settings.http_host):
            raise SettingsError(
                f"AUTOPILOT_HTTP_HOST: {settings.http_host} is not loopback, so the API needs a token: "
                "put one in a file and set AUTOPILOT_API_TOKEN_FILE to it"
            )
        names = {name.lower().strip("[]") for name in (*settings.http_allowed_hosts, settings.http_host)}
        return cls(_LOOPBACK_NAMES | names - {"0.0.0.0", "::", ""}, token)  # noqa: S104  # nosec B104  # no name of anything

    def authenticated(self, authorization: str | None) -> bool:
        """Whether the ``Authorization`` header carries the token; compared in constant time."""
        scheme, _, given = (authorization or "").partition(" ")
        return (
            self.token is not None
            and scheme.lower() == "bearer"
            and hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.token)
        )

    def session(self) -> str:
        """What a browser that gave the token keeps in a cookie for `SESSION_SECONDS`; the token can't be read from it.

        Raises ValueError where there is no token.
        """
        expires = int(time.time()) + SESSION_SECONDS
        return f"{expires}.{self._signature(expires)}"

    def in_session(self, cookie: str | None) -> bool:
        """Whether the cookie is one of `session` and still good."""
        expires, _, signature = (cookie or "").partition(".")
        if self.token is None or not (expires.isascii() and expires.isdigit()) or len(expires) > 12:
            return False
        return int(expires) > time.time() and hmac.compare_digest(signature.encode(), self._signature(int(expires)).encode())

    def _signature(self, expires: int) -> str:
        if self.token is None:
            raise ValueError("expected a token to make a session from, there is none")
        return hmac.new(self.token, b"autopilot session %d" % expires, hashlib.sha256).hexdigest()

    def refusal(
        self, *, host: str | None, origin: str | None, fetch_site: str | None, authorization: str | None, session: str | None = None
    ) -> Refusal | None:
        """Why a request is not let in, or None. ``session`` is the cookie of a browser, where one counts.

        Whoever has the token is let in under any name: a rebound page has none. Otherwise the ``Host`` must be ours (421,
        RFC 9110 section 15.5.20) and a page of another site is refused (403).
        """
        if self.token is not None:
            if self.authenticated(authorization) or self.in_session(session):
                return None
            return Refusal(401, "expected `Authorization: Bearer TOKEN` with the token of AUTOPILOT_API_TOKEN_FILE")
        if host is None or _name_of(host) not in self.hosts:
            return Refusal(421, "the Host header names another server than this one; add its name to AUTOPILOT_HTTP_ALLOWED_HOSTS")
        if origin is not None and origin != f"http://{host}" and origin != f"https://{host}":
            return Refusal(403, "a page of another origin may not use this API")
        if origin is None and fetch_site == "cross-site":
            return Refusal(403, "a page of another site may not use this API")
        return None


def is_loopback(host: str) -> bool:
    """Whether a bind address is reachable from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name_of(host: str) -> str | None:
    """The name in a Host header, without the port."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.lower().rstrip(".") if name else None


def _read_token(path: Path) -> bytes:
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"AUTOPILOT_API_TOKEN_FILE: {path}: expected a file with a token, got {error.strerror}") from error
    if len(token) < SHORTEST_TOKEN or len(token.split()) != 1:
        raise SettingsError(
            f"AUTOPILOT_API_TOKEN_FILE: {path}: expected one word of at least {SHORTEST_TOKEN} characters; "
            "make one with: openssl rand -hex 32"
        )
    return token
