"""Mail from files: one file, a folder, a Maildir or an mbox, each mail handed on without holding it in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from otel_autopilot.errors import SourceError
from otel_autopilot.pipeline.email.repair import FIELD

_CHUNK = 1_048_576
#: A header field begins so, or the separator of an mbox.
_BEGINNING = re.compile(rb"\s*(?:From |" + FIELD.pattern + rb")")
_MBOX_ENDINGS = (".mbox", ".mbx")
#: Bytes of a file that are looked at to tell whether it is a mail.
_SNIFFED = 4_096
#: Endings of files in a folder that are surely not mail.
_NOT_MAIL = {".jsonl", ".json", ".py", ".pyc", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".zip", ".gz", ".db", ".html", ".css", ".js", ".log",
             ".toml", ".yaml", ".yml", ".md", ".au", ".wav", ".csv", ".xbm", ".pbm", ".pgm", ".ppm", ".svg", ".sh", ".c", ".h", ".sqlite", ".xml"}  # fmt: skip


@dataclass(frozen=True)
class SourceMail:
    """Where one mail is. ``label`` is what a person calls it; ``end`` None means the end of the file."""

    label: str
    kind: Literal["file", "maildir", "mbox"]
    path: Path
    start: int = 0
    end: int | None = None

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the mail, a megabyte at a time; raises OSError."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.end - self.start if self.end is not None else -1
            while left != 0:
                chunk = file.read(_CHUNK if left < 0 else min(_CHUNK, left))
                if not chunk:
                    return
                left = left - len(chunk) if left > 0 else left
                yield chunk


def read_source(path: Path) -> Iterator[SourceMail]:
    """The mails of a file, a folder of mails, a Maildir or an mbox, in a stable order.

    Raises SourceError, before the first mail, when the path doesn't exist or a folder holds no mail.
    """
    if path.is_dir():
        mails = _maildir(path) if is_maildir(path) else _folder(path)
        if not mails:
            inside = ": name the folders in it" if any(item.is_dir() for item in path.iterdir()) else ""
            raise SourceError(f"{path}: expected a folder of mail files or a Maildir, found no mail in it{inside}")
        return iter(mails)
    if not path.exists():
        raise SourceError(f"{path}: expected a mail file, a folder, a Maildir or an mbox; there is nothing by that name")
    if not path.is_file():
        raise SourceError(f"{path}: expected a mail file, a folder, a Maildir or an mbox; it is a device, a pipe or a socket")
    if path.suffix.lower() in _MBOX_ENDINGS and not path.stat().st_size:
        raise SourceError(f"{path}: expected an mbox with mail in it, found an empty one")
    if _is_mbox(path):
        return _mbox(path)
    return iter((SourceMail(str(path), "file", path),))


def is_maildir(path: Path) -> bool:
    """Whether a folder has the shape of a Maildir."""
    return (path / "cur").is_dir() and (path / "new").is_dir()


def may_be_mail(path: Path) -> bool:
    """Whether a file in a folder may be a mail, by its name."""
    return not path.name.startswith(".") and path.suffix.lower() not in _NOT_MAIL and path.is_file()


def mails_of(path: Path) -> list[SourceMail]:
    """The mails of a file in a folder: one, those of an mbox, or none (binary data, unless it is called ``.eml``)."""
    if _is_mbox(path):
        return list(_mbox(path))
    return [] if path.suffix.lower() != ".eml" and _is_binary(path) else [SourceMail(str(path), "file", path)]


def left_out(path: Path, mails: Iterable[SourceMail]) -> tuple[int, int]:
    """How many files of a folder are none of its mails, and how many folders in it are left out."""
    if not path.is_dir():
        return 0, 0
    if is_maildir(path):
        return 0, sum(is_maildir(folder) for folder in path.iterdir())
    taken = {mail.path for mail in mails}
    seen = [item for item in path.iterdir() if not item.name.startswith(".")]
    return sum(item.is_file() and item not in taken for item in seen), sum(item.is_dir() for item in seen)


def _is_binary(path: Path) -> bool:
    """Zero bytes, and no header field before them. Text without a header is a broken mail: its body came through.

    A file that can't be read is somebody's mail: it is named later.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED)
    except OSError:
        return False
    return b"\0" in head and _BEGINNING.match(head) is None


def _folder(path: Path) -> list[SourceMail]:
    return [mail for file in sorted(path.iterdir()) if may_be_mail(file) for mail in mails_of(file)]


def _maildir(path: Path) -> list[SourceMail]:
    files = [file for name in ("cur", "new") for file in sorted((path / name).iterdir()) if not file.name.startswith(".")]
    return [SourceMail(str(file), "maildir", file) for file in files if file.is_file()]


#: The separator line of an mbox (RFC 4155): sender and a date as `asctime` writes it. A body may hold a line that begins with "From ".
_SEPARATOR = re.compile(
    rb"From \S+ +(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +(?:\d+ +)?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", re.IGNORECASE
)


def _is_mbox(path: Path) -> bool:
    """A file that begins with a separator and has the ending of an mbox, or more than one mail (what is called ``.eml`` is one)."""
    if path.suffix.lower() == ".eml":
        return False
    try:
        with path.open("rb") as file:
            if not file.read(_SNIFFED).lstrip(b"\r\n").startswith(b"From "):
                return False
    except OSError:
        return False
    return path.suffix.lower() in _MBOX_ENDINGS or len(list(islice(_separators(path), 2))) > 1


def _separators(path: Path) -> Iterator[tuple[int, int]]:
    """Where separators begin and end: the first line, and those between a blank line and a header field."""
    offset, blank, first, candidate = 0, True, True, None
    with path.open("rb") as file:
        while line := file.readline(65_536):
            if candidate is not None and _BEGINNING.match(line):
                yield candidate
            following = offset + len(line)
            is_first = first and line.startswith(b"From ")
            if is_first:
                yield offset, following
            candidate = (offset, following) if blank and not is_first and _SEPARATOR.match(line) else None
            blank = line in (b"\n", b"\r\n")
            first = first and blank
            offset = following


def _mbox(path: Path) -> Iterator[SourceMail]:
    separators = _separators(path)
    _, start = next(separators)
    number = 1
    for end, following in separators:
        yield SourceMail(f"{path}#{number}", "mbox", path, start, end)
        start, number = following, number + 1
    yield SourceMail(f"{path}#{number}", "mbox", path, start, None)
