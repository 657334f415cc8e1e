"""Where digests go: a folder, a Maildir, an SMTP server or a webhook, as the user writes it."""

from __future__ import annotations

import getpass
import re
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.delivery.addresses import is_address

_EXPECTED = "expected a folder, maildir:PATH, smtp://host:port, smtps://host:port or https://..."
_SLIP = re.compile(r"(https?|smtps?|file|mailto|imaps?|ftp):", re.IGNORECASE)

#: Where a piece of a path is no longer than this, it is a word and shown; what is longer may be a secret, as chat services have it.
_LONGEST_SHOWN = 20


class Target(BaseModel):
    """One target. ``name`` is what shows: without credentials, query and secrets in the path."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["folder", "maildir", "smtp", "webhook"]
    name: str
    key: str
    """What tells it from other targets in the outbox; shows no more than ``name`` and a hash."""
    path: Path | None = None
    host: str = ""
    port: int = 0
    tls: bool = False
    url: str = Field(default="", repr=False)
    recipients: tuple[str, ...] = ()
    """Of an smtp target: named in the URL, and so allowed."""


def parse_target(text: str) -> Target:
    """Read a target; raises SettingsError naming what was expected and what came (credentials left out).

    A webhook is the operator's own setting, so it may lead to a private address; plain http is for loopback only.
    """
    stripped = text.strip()
    if not stripped:
        raise SettingsError(f"delivery target: {_EXPECTED}, got an empty one")
    if stripped.startswith("maildir:"):
        return _files("maildir", stripped.removeprefix("maildir:").removeprefix("//"), "maildir:")
    if "://" not in stripped:
        if slip := _SLIP.match(stripped):
            raise SettingsError(f"delivery target: {_EXPECTED}, got {slip[0]} without // (a folder of that name is written ./NAME)")
        return _files("folder", stripped)
    try:
        parts = urlsplit(stripped)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # its text repeats host and port, where a password may stand by mistake
        raise SettingsError(f"delivery target: {_EXPECTED}, got a URL whose host or port can't be read") from None
    shown = f"{parts.scheme}://" + (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    if parts.scheme == "file":
        if host not in ("", "localhost"):
            raise SettingsError(f"delivery target: expected file:///FOLDER with three slashes, got the host {host!r}")
        return _files("folder", unquote(parts.path))
    if parts.username or parts.password:
        instead = (
            "set AUTOPILOT_SMTP_USER and its password file"
            if parts.scheme in ("smtp", "smtps")
            else "a webhook is known by its signature"
        )
        raise SettingsError(f"delivery target {shown}: credentials don't belong into a URL; {instead}")
    if not host:
        raise SettingsError(f"delivery target: {_EXPECTED}, got {shown} without a host")
    if parts.scheme in ("smtp", "smtps"):
        number = port or (465 if parts.scheme == "smtps" else 25)
        name = shown if port else f"{shown}:{number}"
        return Target(
            kind="smtp", name=name, key=name, host=host, port=number, tls=parts.scheme == "smtps", recipients=_named(parts, shown)
        )
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        name = shown + _path_without_secrets(parts.path)
        plain = name == f"{shown}{parts.path}" and not parts.query
        return Target(
            kind="webhook", name=name, key=name if plain else f"{name}#{sha256(stripped.encode()).hexdigest()[:16]}", host=host,
            port=port or (443 if parts.scheme == "https" else 80), url=stripped,
        )  # fmt: skip
    if parts.scheme == "http":
        raise SettingsError(
            f"delivery target {shown}: http is for loopback only, a digest would cross the network unencrypted; use https"
        )
    raise SettingsError(f"delivery target: {_EXPECTED}, got the scheme {parts.scheme!r}")


def _files(kind: Literal["folder", "maildir"], text: str, prefix: str = "") -> Target:
    if text in ("", "."):
        raise SettingsError(f"delivery target: {_EXPECTED}, got {prefix or 'a folder'!r} without a path")
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise SettingsError(f"delivery target: {_EXPECTED}, got {prefix}{path}, which is a file")
    # A run may be taken up again from another working directory: the place must not move.
    return Target(kind=kind, name=f"{prefix}{path}", key=f"{prefix}{path.absolute()}", path=path.absolute())


def _named(parts: SplitResult, shown: str) -> tuple[str, ...]:
    """The addresses of ``?to=``. A plus sign is a plus sign, as in an address, not a blank, as in a form."""
    wanted: list[str] = []
    for item in filter(None, parts.query.split("&")):
        name, _, value = item.partition("=")
        if name != "to":
            raise SettingsError(f"delivery target {shown}: expected ?to=ADDRESS,ADDRESS and nothing else, got ?{name[:20]}=")
        wanted += [unquote(address).strip() for address in value.split(",")]
    if not all(is_address(address) for address in wanted):
        raise SettingsError(f"delivery target {shown}: expected ?to= with addresses, such as ?to=ops@example.org")
    return tuple(wanted)


def _path_without_secrets(path: str) -> str:
    return "/".join("..." if len(piece) > _LONGEST_SHOWN else piece for piece in path.split("/"))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def local_recipient() -> list[str]:
    """Who gets mail on this machine when nobody was named: the user who runs us, as cron does it. Nobody where it has no name."""
    try:
        return [f"{getpass.getuser()}@localhost"]
    except (KeyError, OSError):  # a container's user without an entry in passwd
        return []
