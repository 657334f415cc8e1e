"""The gateway's users: a file of lines ``user:scrypt$n$r$p$salt$hash`` (RFC 7914; salt and hash in base64).

``python -m otel_autopilot.pipeline.email.passwords USER`` asks for a password and prints the line.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hashlib
import hmac
import os
import sys
from pathlib import Path

from otel_autopilot.errors import SettingsError

_N, _R, _P = 2**14, 8, 1


def hash_password(password: str) -> str:
    """The hash to write behind a user's name."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    return f"scrypt${_N}${_R}${_P}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def read_users(path: Path) -> dict[str, str]:
    """User names and their hashes; raises SettingsError naming the line that isn't one."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"AUTOPILOT_SMTP_USERS_FILE: {path}: {error.strerror or error}") from error
    users = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, stored = line.strip().partition(":")
        if not colon or not user or stored.count("$") != 5 or not stored.startswith("scrypt$"):
            raise SettingsError(
                f"{path}:{number}: expected user:scrypt$n$r$p$salt$hash; make a line with: "
                "python -m otel_autopilot.pipeline.email.passwords USER"
            )
        users[user] = stored
    return users


def check_password(users: dict[str, str], user: str, password: bytes) -> bool:
    """Whether the password is the user's. An unknown user costs as much time as a wrong password."""
    stored = users.get(user)
    known = stored is not None
    if stored is None:
        stored = f"scrypt${_N}${_R}${_P}${base64.b64encode(bytes(16)).decode()}${base64.b64encode(bytes(64)).decode()}"
    _, n, r, p, salt, digest = stored.split("$")
    made = hashlib.scrypt(password, salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p))
    return hmac.compare_digest(made, base64.b64decode(digest)) and known


def main() -> int:
    """Print the line of a user; the password comes from the terminal, or from stdin when that is none."""
    parser = argparse.ArgumentParser(
        description=main.__doc__, epilog="Example: python -m otel_autopilot.pipeline.email.passwords ann >> users"
    )
    parser.add_argument("user", metavar="USER", help="the user's name, without a colon")
    user = parser.parse_args().user
    if not user or ":" in user:
        parser.error("expected a user's name without a colon")
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not password:
        parser.error("expected a password, got none")
    sys.stdout.write(f"{user}:{hash_password(password)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
