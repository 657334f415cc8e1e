"""Digests as files: whole or not at all, on disks that are full, read-only or not there."""

from __future__ import annotations

import json
import mailbox
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from otel_autopilot.pipeline.delivery.attempt import Refused
from otel_autopilot.pipeline.delivery.folder import remove_left_drafts, write_folder, write_maildir, written
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.outbox import MemoryOutbox
from otel_autopilot.pipeline.delivery.stage import deliver
from otel_autopilot.pipeline.delivery.targets import parse_target
from otel_autopilot.pipeline.messages import Digest, Email

DIGEST = Digest(title="Größe", markdown="# Größe\n" + "word " * 30_000, html="<p>w</p>", text="w\n")
OPTIONS = DeliveryOptions(sender="digest@example.org", recipients=("bob@example.org",))


def files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def test_a_folder_gets_markdown_and_json_named_by_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert not written(folder, "folder", "run-1")
    write_folder(folder, DIGEST, "run-1")
    write_folder(folder, DIGEST, "run-1")
    assert files(folder) == ["run-1.json", "run-1.md"]
    assert (folder / "run-1.md").read_text(encoding="utf-8") == DIGEST.markdown
    assert Digest(**json.loads((folder / "run-1.json").read_bytes())) == DIGEST
    assert written(folder, "folder", "run-1")
    assert not written(folder, "folder", "run-2")


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.test_delivery_folder import DIGEST, write_folder
left = sys.argv[2]
replace = Path.replace
def die(self, target):
    if self.name.startswith(f".run-1.{left}."):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = die
write_folder(Path(sys.argv[1]), DIGEST, "run-1")
"""


@pytest.mark.parametrize("left", ["json", "md"])
async def test_what_a_killed_process_left_of_a_run_is_gone_once_the_run_is_delivered_again(tmp_path: Path, left: str) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), left], check=False)
    assert done.returncode == -signal.SIGKILL
    assert any(name.startswith(f".run-1.{left}.") for name in files(tmp_path))
    target, outbox = parse_target(str(tmp_path)), MemoryOutbox()
    await outbox.intend("run-1", target.key, "")  # as it stands after a crash
    await deliver(DIGEST, Email(), [target], run_id="run-1", outbox=outbox, options=OPTIONS)
    assert files(tmp_path) == ["run-1.json", "run-1.md"]


def test_drafts_of_a_living_process_and_of_other_runs_stay(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        alive = f".run-1.md.{other.pid}"
        for name in (alive, f".run-1.json.{2**31 - 1}", f".run-12.md.{2**31 - 1}", ".run-1.notes", f".run-1.json.{os.getppid()}"):
            (tmp_path / name).write_text("half a digest")
        os.utime(tmp_path / f".run-1.json.{os.getppid()}", (1, 1))
        remove_left_drafts(tmp_path, "run-1")
        assert files(tmp_path) == sorted([alive, ".run-1.notes", f".run-12.md.{2**31 - 1}"])
        other.communicate(b"\n")


def test_a_maildir_gets_one_message_in_new_that_a_reader_reads(tmp_path: Path) -> None:
    path = tmp_path / "Maildir"
    assert not written(path, "maildir", "run-1")
    for _ in range(2):
        write_maildir(path, DIGEST, Email(message_id="<a@b>"), "run-1", OPTIONS)
    (name,) = files(path)
    assert name.startswith("new/")
    box = mailbox.Maildir(path, create=False)
    (message,) = list(box)
    assert (message["To"], message["In-Reply-To"], message.get_content_type()) == (
        "bob@example.org",
        "<a@b>",
        "multipart/alternative",
    )
    assert b"\r" not in (path / name).read_bytes(), "a Maildir has the line ends of its machine"
    assert {(path / part).stat().st_mode & 0o777 for part in ("tmp", "new", "cur")} == {0o700}


def test_a_message_that_was_read_counts_as_written(tmp_path: Path) -> None:
    write_maildir(tmp_path, DIGEST, Email(), "run-1", OPTIONS)
    (name,) = files(tmp_path)
    (tmp_path / name).rename(tmp_path / "cur" / (Path(name).name + ":2,S"))
    assert written(tmp_path, "maildir", "run-1")
    assert not written(tmp_path, "maildir", "run-")


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from tests.unit.test_delivery_folder import DIGEST, OPTIONS, Email, Refused, write_folder, write_maildir
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for write in (lambda: write_folder(Path(sys.argv[1]), DIGEST, "run-1"),):
    try:
        write()
    except Refused as error:
        print(error, error.retryable)
"""


def test_a_file_that_can_not_be_written_whole_is_not_there_at_all(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "the digest can't be written: File too large False\n"
    assert files(tmp_path) == []


_TMPFS = """
set -e
mount -t tmpfs -o {options} none {path}
exec {python} -c '
import sys
from pathlib import Path
from tests.unit.test_delivery_folder import DIGEST, OPTIONS, Email, Refused, files, write_folder, write_maildir
path = Path(sys.argv[1])
for write in (lambda: write_folder(path, DIGEST, "run-1"), lambda: write_maildir(path, DIGEST.model_copy(update=dict(text=DIGEST.markdown)), Email(), "run-1", OPTIONS)):
    try:
        write()
    except Refused as error:
        print(error, error.retryable, files(path))
' {path}
"""


@pytest.mark.parametrize(
    ("mount", "said"),
    [("size=64k", "No space left on device True []"), ("size=1m,ro", "Read-only file system False []")],
)
def test_a_full_disk_may_pass_and_a_read_only_one_will_not_and_neither_holds_half_a_digest(
    tmp_path: Path, mount: str, said: str
) -> None:
    script = _TMPFS.format(options=mount, path=tmp_path, python=sys.executable)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if "Operation not permitted" in done.stderr or "unshare" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("no file system can be mounted here, not even in a namespace")
    assert done.stdout == f"the digest can't be written: {said}\n" * 2, done.stderr


def test_a_folder_that_is_a_file_is_refused_for_good_and_its_path_is_not_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "ann").write_text("")
    for write in (
        lambda: write_folder(tmp_path / "ann" / "digests", DIGEST, "run-1"),
        lambda: write_maildir(tmp_path / "ann" / "digests", DIGEST, Email(), "run-1", OPTIONS),
    ):
        with pytest.raises(Refused, match=r"^the digest can't be written: Not a directory$") as raised:
            write()
        assert raised.value.retryable is False
        assert raised.value.__cause__ is None


def test_a_folder_without_leave_is_refused_for_good(tmp_path: Path) -> None:
    me = os.geteuid()
    tmp_path.chmod(0o500)
    try:
        if me == 0:
            os.seteuid(65_534)  # root may write everywhere, nobody may not
        with pytest.raises(Refused, match="Permission denied") as raised:
            write_folder(tmp_path, DIGEST, "run-1")
    finally:
        os.seteuid(me)
        tmp_path.chmod(0o700)
    assert raised.value.retryable is False


def test_too_many_open_files_may_pass(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(Refused, match="Too many open files") as raised:
            write_folder(tmp_path, DIGEST, "run-1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised.value.retryable
