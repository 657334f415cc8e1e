"""Bytes in files named by their hash, below one directory that only its owner can read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from otel_autopilot.pipeline.messages import Blob


class BlobStore:
    """Content-addressed files below ``root`` (made with mode 0700).

    The same bytes are stored once. A blob appears under its name whole or not at all: it is written beside its place and
    renamed. With ``durable=True`` the file and its directory are fsynced before `put` returns.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path_of(self, sha256: str) -> Path:
        """Where the blob with this hash lives, whether it is there or not."""
        return self.root / sha256[:2] / sha256

    def put(self, content: bytes | Iterable[bytes], *, durable: bool = False) -> Blob:
        """Store bytes, or chunks of them, and return the blob; raises OSError (disk full, read-only)."""
        chunks = (content,) if isinstance(content, bytes) else content
        digest = hashlib.sha256()
        size = 0
        handle, name = tempfile.mkstemp(dir=self.root, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            target = self.path_of(digest.hexdigest())
            target.parent.mkdir(mode=0o700, exist_ok=True)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        if durable:
            _fsync_directory(target.parent)
            _fsync_directory(self.root)
        return Blob(path=target, sha256=digest.hexdigest(), size_bytes=size)

    def put_text(self, text: str) -> Blob:
        """Store text as UTF-8 (lone surrogates replaced)."""
        return self.put(text.encode("utf-8", errors="replace"))

    def erase(self, sha256: str) -> bool:
        """Delete a blob; True when it was there."""
        try:
            self.path_of(sha256).unlink()
        except FileNotFoundError:
            return False
        return True


def _fsync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
