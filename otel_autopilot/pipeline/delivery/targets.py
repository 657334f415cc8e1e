"""Where digests go: a folder, a Maildir, an SMTP server or a webhook, as the user writes it."""

from __future__ import annotations

import getpass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict

from otel_autopilot.errors import SettingsError

_EXPECTED = "expected a folder, maildir:PATH, smtp://host:port, smtps://host:port or https://..."


class Target(BaseModel):
    """One target. ``name`` is what shows: without credentials and query."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["folder", "maildir", "smtp", "webhook"]
    name: str
    path: Path | None = None
    host: str = ""
    port: int = 0
    tls: bool = False
    url: str = ""
    recipients: tuple[str, ...] = ()
    """Of an smtp target: named in the URL, and so allowed."""


def parse_target(text: str) -> Target:
    """Read a target; raises SettingsError naming what was expected and what came (credentials left out)."""
    stripped = text.strip()
    if not stripped:
        raise SettingsError(f"delivery target: {_EXPECTED}, got an empty one")
    if stripped.startswith("maildir:"):
        path = Path(stripped.removeprefix("maildir:").removeprefix("//")).expanduser()
        if str(path) in ("", "."):
            raise SettingsError(f"delivery target: {_EXPECTED}, got 'maildir:' without a path")
        return Target(kind="maildir", name=f"maildir:{path}", path=path)
    if "://" not in stripped:
        path = Path(stripped).expanduser()
        if path.exists() and not path.is_dir():
            raise SettingsError(f"delivery target: {_EXPECTED}, got {stripped}, which is a file")
        return Target(kind="folder", name=str(path), path=path)
    try:
        parts = urlsplit(stripped)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SettingsError(f"delivery target: {_EXPECTED}, got a URL that can't be read: {error}") from error
    shown = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    if parts.scheme == "file":
        return Target(kind="folder", name=parts.path, path=Path(unquote(parts.path)))
    if parts.username or parts.password:
        raise SettingsError(
            f"delivery target {shown}: credentials don't belong into a URL; set AUTOPILOT_SMTP_USER and its password file"
        )
    if not host:
        raise SettingsError(f"delivery target: {_EXPECTED}, got {shown} without a host")
    if parts.scheme in ("smtp", "smtps"):
        tls = parts.scheme == "smtps"
        wanted = [address.strip() for value in parse_qs(parts.query).get("to", []) for address in value.split(",")]
        if any("@" not in address for address in wanted):
            raise SettingsError(f"delivery target {shown}: expected ?to= with addresses, such as ?to=ops@example.org")
        number = port or (465 if tls else 25)
        return Target(
            kind="smtp", name=f"{parts.scheme}://{host}:{number}", host=host, port=number, tls=tls, recipients=tuple(wanted)
        )
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        number = port or (443 if parts.scheme == "https" else 80)
        return Target(kind="webhook", name=f"{shown}{parts.path}", host=host, port=number, url=stripped)
    if parts.scheme == "http":
        raise SettingsError(
            f"delivery target {shown}: http is for loopback only, a digest would cross the network unencrypted; use https"
        )
    raise SettingsError(f"delivery target: {_EXPECTED}, got the scheme {parts.scheme!r}")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def local_recipient() -> str:
    """Who gets mail on this machine when nobody was named: the user who runs us, as cron does it."""
    return f"{getpass.getuser()}@localhost"
