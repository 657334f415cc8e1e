"""Digests as files: a folder of Markdown and JSON, or a Maildir. Whole or not at all, and the same name again is the same file."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from otel_autopilot.pipeline.delivery.attempt import Refused
from otel_autopilot.pipeline.delivery.manners import Recipient
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.smtp import compose
from otel_autopilot.pipeline.messages import Digest, Email


def written(path: Path, kind: str, run_id: str) -> bool:
    """Whether the digest of a run is there: its name follows from the run, so a crash leaves no doubt."""
    if kind == "folder":
        return (path / f"{run_id}.md").exists()
    return any((path / name / _maildir_name(run_id)).exists() for name in ("new",)) or any(
        file.name.startswith(_maildir_name(run_id)) for file in ((path / "cur").iterdir() if (path / "cur").is_dir() else ())
    )


def write_folder(path: Path, digest: Digest, run_id: str) -> None:
    """Write ``RUN.json`` and ``RUN.md``; raises Refused when the folder can't be written. Blocking."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        _write(path / f"{run_id}.json", (digest.model_dump_json(indent=1) + "\n").encode())
        _write(path / f"{run_id}.md", digest.markdown.encode())
    except OSError as error:
        raise _refused(error) from error


def write_maildir(path: Path, digest: Digest, original: Email, run_id: str, options: DeliveryOptions) -> None:
    """Write a message into ``new`` by way of ``tmp``; raises Refused. Blocking."""
    recipient = Recipient(options.recipients[0] if options.recipients else options.sender, is_reply=False)
    content = compose(digest, original, recipient, run_id=run_id, options=options).as_bytes()
    name = _maildir_name(run_id)
    try:
        for folder in ("tmp", "new", "cur"):
            (path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path / "new" / name, content, beside=path / "tmp" / name)
    except OSError as error:
        raise _refused(error) from error


def _maildir_name(run_id: str) -> str:
    return f"{run_id}.autopilot.{socket.gethostname().replace('/', '_').replace(':', '_')}"


def _write(target: Path, content: bytes, beside: Path | None = None) -> None:
    draft = beside or target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _refused(error: OSError) -> Refused:
    return Refused(f"the digest can't be written: {error.strerror or type(error).__name__}", retryable=True)
