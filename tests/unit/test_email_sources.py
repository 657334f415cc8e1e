"""Mail from files, folders, Maildirs and mboxes, read or watched."""

from __future__ import annotations

import asyncio
import contextlib
import mailbox
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from otel_autopilot.errors import SourceError
from otel_autopilot.pipeline.email.sources import SourceMail, left_out, read_source
from otel_autopilot.pipeline.email.watch import watch

MAIL = b"From: a@example.org\nSubject: s\n\nwords\n"


def contents(path: Path) -> list[bytes]:
    return [b"".join(mail.chunks()) for mail in read_source(path)]


def test_a_file_is_one_mail_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "msg_01.txt"
    path.write_bytes(MAIL)
    (mail,) = read_source(path)
    assert (mail.label, mail.kind, b"".join(mail.chunks())) == (str(path), "file", MAIL)


def test_of_a_folder_every_file_that_may_be_a_mail_is_taken_in_order(tmp_path: Path) -> None:
    for name in ("b.eml", "a.txt", "noending", ".hidden", "notes.pdf", "picture.png", "cache.db"):
        (tmp_path / name).write_bytes(MAIL)
    (tmp_path / "sub.eml").mkdir()
    assert [Path(mail.label).name for mail in read_source(tmp_path)] == ["a.txt", "b.eml", "noending"]


def test_a_maildir_gives_what_is_in_cur_and_new(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "box")
    for _ in range(3):
        box.add(MAIL)
    (tmp_path / "box" / "tmp" / "unfinished").write_bytes(b"half")
    found = list(read_source(tmp_path / "box"))
    assert [mail.kind for mail in found] == ["maildir"] * 3


def test_an_mbox_gives_each_of_its_mails_without_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(
        b"".join(b"From a@x Mon Jan  1 10:00:00 2026\nSubject: %d\n\nbody %d\nFrom here on\n\n" % (n, n) for n in range(1, 4))
    )
    found = list(read_source(path))
    assert [mail.label for mail in found] == [f"{path}#{number}" for number in (1, 2, 3)]
    assert contents(path)[1].strip() == b"Subject: 2\n\nbody 2\nFrom here on"


def test_a_line_that_begins_with_from_is_no_separator(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(b"From a@x Mon Jan  1 10:00:00 2026\nSubject: 1\n\nwords\n\nFrom my point of view\n\nall is well\n")
    assert len(contents(path)) == 1


def test_what_the_standard_library_writes_as_an_mbox_is_read(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "a.mbox")
    for number in range(5):
        box.add(b"Subject: %d\n\nbody\n" % number)
    box.flush()
    box.close()
    assert [content.split(b"\n")[0] for content in contents(tmp_path / "a.mbox")] == [
        b"Subject: %d" % number for number in range(5)
    ]


def test_a_large_mbox_is_never_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    with path.open("wb") as file:
        for _ in range(30):
            file.write(
                b"From a@x Mon Jan  1 10:00:00 2026\nSubject: s\n\n" + b"y" * 76_000 + b"\n" + (b"z" * 70 + b"\n") * 10_000 + b"\n"
            )
    tracemalloc.start()
    size = sum(len(chunk) for mail in read_source(path) for chunk in mail.chunks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 20_000_000
    assert peak < 4_000_000


def test_what_holds_no_mail_is_an_error_that_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing by that name"):
        read_source(tmp_path / "missing")
    with pytest.raises(SourceError, match="found no mail in it"):
        read_source(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="a device, a pipe or a socket"):
        read_source(tmp_path / "pipe")


@contextlib.asynccontextmanager
async def watching(*paths: Path) -> AsyncIterator[asyncio.Queue[SourceMail]]:
    found: asyncio.Queue[SourceMail] = asyncio.Queue()

    async def follow() -> None:
        async for mail in watch(paths):
            found.put_nowait(mail)

    task = asyncio.create_task(follow())
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def taken(found: asyncio.Queue[SourceMail]) -> str:
    async with asyncio.timeout(30):
        return Path((await found.get()).label).name


async def test_a_watched_folder_gives_what_is_there_and_then_what_comes_each_once(tmp_path: Path) -> None:
    (tmp_path / "first.eml").write_bytes(MAIL)
    async with watching(tmp_path) as found:
        assert await taken(found) == "first.eml"
        for name in ("second.eml", "third.eml"):
            (tmp_path / ".part").write_bytes(MAIL)
            (tmp_path / ".part").rename(tmp_path / name)
            assert await taken(found) == name
        assert found.empty()


async def test_a_file_is_taken_only_when_its_writer_is_done(tmp_path: Path) -> None:
    async with watching(tmp_path) as found:
        with (tmp_path / "slow.eml").open("wb") as file:
            file.write(MAIL)
            file.flush()
            (tmp_path / "whole.eml").write_bytes(MAIL)
            assert await taken(found) == "whole.eml"
            file.write(b"the rest\n")
        mail = await asyncio.wait_for(found.get(), 30)
        assert b"".join(mail.chunks()) == MAIL + b"the rest\n"


async def test_a_watched_maildir_gives_each_mail_once_even_when_it_is_moved_to_cur(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "box")
    async with watching(tmp_path / "box") as found:
        key = box.add(MAIL)
        assert await taken(found) == key
        (tmp_path / "box" / "new" / key).rename(tmp_path / "box" / "cur" / f"{key}:2,S")
        following = box.add(MAIL)
        assert await taken(found) == following


async def test_only_folders_are_watched(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a folder or a Maildir"):
        async for _ in watch([tmp_path / "missing"]):
            pass


def test_files_that_are_no_mail_are_left_out_of_a_folder_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"\0 but called so")
    (tmp_path / "b").write_bytes(b"Subject: b\n\nb\n")
    (tmp_path / "picture.bmp").write_bytes(b"BM\0\0\0\0")
    (tmp_path / "notes.md").write_bytes(b"# no mail")
    (tmp_path / "notes.txt").write_bytes(b"a body whose header is lost\n")
    (tmp_path / "zero").write_bytes(b"Subject: a zero byte\n\n\0\n")
    assert [Path(mail.label).name for mail in read_source(tmp_path)] == ["a.eml", "b", "notes.txt", "zero"]
    (tmp_path / "more").mkdir()
    assert left_out(tmp_path, read_source(tmp_path)) == (2, 1)
    assert left_out(tmp_path / "b", ()) == (0, 0)
    with pytest.raises(SourceError, match="found no mail in it: name the folders in it"):
        read_source(tmp_path.parent)


def test_folders_of_a_maildir_are_counted(tmp_path: Path) -> None:
    mailbox.Maildir(tmp_path / "box").add_folder("Sent").add(MAIL)
    mailbox.Maildir(tmp_path / "box").add(MAIL)
    assert len(list(read_source(tmp_path / "box"))) == 1
    assert left_out(tmp_path / "box", ()) == (0, 1)


def test_an_empty_mbox_is_an_error_and_an_empty_mail_is_a_mail(tmp_path: Path) -> None:
    (tmp_path / "empty.mbox").touch()
    (tmp_path / "empty.eml").touch()
    with pytest.raises(SourceError, match="expected an mbox with mail in it, found an empty one"):
        read_source(tmp_path / "empty.mbox")
    assert len(list(read_source(tmp_path / "empty.eml"))) == 1


def test_an_mbox_in_a_folder_gives_each_of_its_mails_and_may_begin_with_a_blank_line(tmp_path: Path) -> None:
    date = b"From ann@example.org Sat Nov 21 10:00:00 2026\n"
    (tmp_path / "in.mbox").write_bytes(b"\n" + date + b"Subject: 1\n\none\n\n" + date + b"Subject: 2\n\ntwo\n")
    (tmp_path / "z.eml").write_bytes(b"Subject: z\n\nz\n")
    mails = list(read_source(tmp_path))
    assert [Path(mail.label).name for mail in mails] == ["in.mbox#1", "in.mbox#2", "z.eml"]
    assert b"".join(mails[1].chunks()) == b"Subject: 2\n\ntwo\n"


def test_a_mail_that_speaks_of_separators_stays_one(tmp_path: Path) -> None:
    date = b"From ann@example.org Sat Nov 21 10:00:00 2026\n"
    (tmp_path / "bounce.1").write_bytes(date + b"Subject: 1\n\nThe log said:\n\n" + date + b"and no more.\n")
    (tmp_path / "two.eml").write_bytes(date + b"Subject: 1\n\none\n\n" + date + b"Subject: 2\n\ntwo\n")
    assert [Path(mail.label).name for mail in read_source(tmp_path)] == ["bounce.1", "two.eml"]
    assert [mail.label for mail in read_source(tmp_path / "two.eml")] == [str(tmp_path / "two.eml")]
