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
        writer = self.writer()
        try:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit(durable=durable)
        except BaseException:
            writer.discard()
            raise

    def writer(self) -> BlobWriter:
        """A blob written piece by piece, for bytes that come in their own time. Ends with `commit` or `discard`."""
        return BlobWriter(self)

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


class BlobWriter:
    """One blob on its way into the store; every method blocks on the disk."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        handle, name = tempfile.mkstemp(dir=store.root, prefix=".new-")
        self._file = os.fdopen(handle, "wb")
        self._name = name

    def write(self, chunk: bytes) -> None:
        """Add bytes; raises OSError (disk full)."""
        self._digest.update(chunk)
        self.size_bytes += len(chunk)
        self._file.write(chunk)

    def commit(self, *, durable: bool = False) -> Blob:
        """Put the blob in its place and return it; raises OSError."""
        if durable:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        sha256 = self._digest.hexdigest()
        target = self._store.path_of(sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        Path(self._name).replace(target)
        if durable:
            _fsync_directory(target.parent)
            _fsync_directory(self._store.root)
        return Blob(path=target, sha256=sha256, size_bytes=self.size_bytes)

    def discard(self) -> None:
        """Forget what was written; does nothing after `commit`."""
        self._file.close()
        Path(self._name).unlink(missing_ok=True)


def _fsync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
