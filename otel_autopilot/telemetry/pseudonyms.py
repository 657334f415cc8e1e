"""Keyed pseudonyms: what stands for an address or a Message-ID outside the process.

A pseudonym is an HMAC-SHA256 (RFC 2104) under a key that stays on the machines of one deployment: equal values have equal
pseudonyms, so that joins work, and without the key nobody can test a guess. The key's own short id leads the pseudonym, so a
key can be rotated: put the new one on top of the file, keep the old ones below, and searches try them all (`candidates`).
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from otel_autopilot.errors import SettingsError
from otel_autopilot.telemetry import diagnostics

#: Fewest characters of a key: 128 bits written as hexadecimal digits.
SHORTEST_KEY = 32
#: Name of the key file that is made in the data directory.
KEY_FILE = "pseudonym.key"
#: What a pseudonym looks like, as a regular expression. The leading letter and the underscore keep it from reading as a number.
SHAPE = r"p[0-9a-f]{4}_[0-9a-f]{16}"

_VARIABLE = "AUTOPILOT_PSEUDONYM_KEY_FILE"


def normalised(value: str) -> str:
    """The form that is hashed: Unicode NFC, case-folded, without blanks and angle brackets around it."""
    return unicodedata.normalize("NFC", value.strip(" \t\r\n<>")).casefold()


class Pseudonyms:
    """Makes pseudonyms under the first of ``keys``; the others are retained for searches.

    Raises ValueError when there is no key.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("expected at least one key, got none")
        self._keys = tuple((f"p{hashlib.sha256(b'autopilot key id' + key).hexdigest()[:4]}_", key) for key in keys)

    def of(self, value: str) -> str:
        """The pseudonym of a value under the current key: 22 characters that match `SHAPE`."""
        return self._under(*self._keys[0], _message(value))

    def candidates(self, value: str) -> tuple[str, ...]:
        """The pseudonyms of a value under every retained key, the current one first."""
        message = _message(value)
        return tuple(self._under(key_id, key, message) for key_id, key in self._keys)

    @staticmethod
    def _under(key_id: str, key: bytes, message: bytes) -> str:
        return key_id + hmac.digest(key, message, "sha256").hex()[:16]

    def __repr__(self) -> str:
        return f"Pseudonyms({len(self._keys)} keys, current {self._keys[0][0][1:-1]})"


def _message(value: str) -> bytes:
    return normalised(value).encode("utf-8", "surrogatepass")


def load_pseudonyms(data_dir: Path, key_file: Path | None = None) -> Pseudonyms:
    """The pseudonyms of this deployment.

    ``key_file``, else the file that ``AUTOPILOT_PSEUDONYM_KEY_FILE`` names, holds one key a line, the current one first; empty
    lines and lines that begin with # are skipped. A file that others can read is used, and a warning is kept for ``doctor``.
    Without such a file, the key lives in ``data_dir`` and is made there (mode 0600, the directory 0700); processes that start
    at the same time agree on one. In a directory that can't be written, the key lasts as long as the process, with a warning.

    Raises SettingsError when a named file is missing, unreadable or empty, or holds a key of fewer than 32 characters.
    """
    if key_file is None and os.environ.get(_VARIABLE):
        key_file = Path(os.environ[_VARIABLE])
    if key_file is not None:
        return Pseudonyms(_read(key_file))
    path = data_dir / KEY_FILE
    try:
        _make(path)
    except OSError as error:
        diagnostics.keep(
            f"no pseudonym key can be made in the data directory ({errno.errorcode.get(error.errno or 0, 'OSError')}): pseudonyms "
            f"of this process match no other's; set {_VARIABLE}"
        )
        return Pseudonyms([secrets.token_bytes(32)])
    return Pseudonyms(_read(path))


def _make(path: Path) -> None:
    """Make the key file unless it is there. It appears whole, and only once, whoever else does the same."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mode 0600, O_EXCL
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"# Key of the pseudonyms. Keep it secret, and the same on all machines.\n{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return  # another process was first, and its key is whole
    finally:
        Path(beside).unlink(missing_ok=True)


def _read(path: Path) -> list[bytes]:
    expected = f"{_VARIABLE}: expected a file with a key of at least {SHORTEST_KEY} characters on each line"
    try:
        text = path.read_text(encoding="utf-8")
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise SettingsError(f"{expected}, got {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{expected}, got {path}: it isn't UTF-8 text") from error
    if mode & 0o077:
        diagnostics.keep(f"{path}: the pseudonym key can be read by others (mode {mode:04o}); make it 0600")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    keys = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not keys:
        raise SettingsError(f"{expected}, got {path}: it holds no key; write one with `openssl rand -hex 32`")
    for number, key in keys:
        if len(key) < SHORTEST_KEY:
            raise SettingsError(f"{expected}, got {path}, line {number}: {len(key)} characters")
    return [key.encode() for _, key in keys]


_current: Pseudonyms | None = None


def use(pseudonyms: Pseudonyms) -> None:
    """Make these the pseudonyms of the process."""
    global _current
    _current = pseudonyms


def in_use() -> Pseudonyms:
    """The pseudonyms of the process; before `use`, those that the environment names, else ones that last as long as the process."""
    global _current
    if _current is None:
        data_dir = os.environ.get("AUTOPILOT_DATA_DIR")
        if data_dir or os.environ.get(_VARIABLE):
            _current = load_pseudonyms(Path(data_dir or "."))
        else:
            _current = Pseudonyms([secrets.token_bytes(32)])
    return _current


def pseudonym(value: str) -> str:
    """What stands for an address or a Message-ID: upper and lower case, blanks and <> around it make no difference."""
    return in_use().of(value)


def candidates(value: str) -> tuple[str, ...]:
    """The pseudonyms of a value under every retained key, for searches."""
    return in_use().candidates(value)
