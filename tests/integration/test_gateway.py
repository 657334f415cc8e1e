"""The SMTP gateway, spoken to by Python's smtplib, swaks and bare sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from otel_autopilot.errors import EngineError, SettingsError
from otel_autopilot.pipeline.email import gateway as gateway_module
from otel_autopilot.pipeline.email.gateway import Gateway, Received
from otel_autopilot.pipeline.email.passwords import hash_password
from otel_autopilot.pipeline.email.smtp_server import ServerOptions
from otel_autopilot.pipeline.messages import RawEmail

MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: hello\r\n\r\nwords\r\n"
needs_swaks = pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed (Debian: apt-get install swaks)")


@dataclass
class Run:
    run_id: str
    created: bool = True


@dataclass
class Acceptor:
    """Takes every mail, remembers it in order, and can be told to fail or to wait."""

    taken: list[RawEmail] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, raw: RawEmail, received: Received) -> Run:
        assert received.started_unix_nano <= raw.envelope.stored_unix_nano
        assert raw.blob.path.is_file()
        if self.failure is not None:
            raise self.failure
        self.taken.append(raw)
        await self.gate.wait()
        return Run(f"run-{len(self.taken)}")

    @property
    def contents(self) -> list[bytes]:
        return [raw.blob.read_bytes() for raw in self.taken]


Running = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def acceptor() -> Acceptor:
    return Acceptor()


@pytest.fixture
async def running(blobs: Path, acceptor: Acceptor) -> AsyncIterator[Running]:
    started: list[Gateway] = []

    async def run(**changes: object) -> Gateway:
        options = replace(ServerOptions(blobs_root=blobs, max_bytes=50_000_000, recipients=()), **changes)
        gateway = Gateway(options, host="127.0.0.1", port=0, accept=acceptor)
        await gateway.start()
        started.append(gateway)
        return gateway

    yield run
    for gateway in started:
        await gateway.stop(0.5)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"# people\ngrace:{hash_password('right')}\n")
    return path


@contextlib.contextmanager
def client(gateway: Gateway) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=60) as smtp:
        smtp.ehlo()
        yield smtp


def send(
    gateway: Gateway, content: bytes = MAIL, recipient: str = "b@example.org", sender: str = "a@example.org"
) -> tuple[int, bytes]:
    with client(gateway) as smtp:
        smtp.mail(sender)
        code, answer = smtp.rcpt(recipient)
        return (code, answer) if code != 250 else smtp.data(content)


def send_patiently(gateway: Gateway) -> tuple[int, bytes]:
    """As `send`, once the gateway that is being started answers."""
    for _ in range(200):
        try:
            return send(gateway)
        except (ConnectionError, smtplib.SMTPServerDisconnected):
            time.sleep(0.05)
    raise AssertionError("the gateway did not come back")


class Wire:
    """A client that writes bytes itself; each is closed when its test has ended."""

    open: ClassVar[list[Wire]] = []

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.open.append(self)

    def reply(self) -> str:
        while line := self.file.readline().decode():
            if line[3:4] == " ":
                return line.strip()
        return ""

    def say(self, line: str) -> str:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def begin_data(self) -> None:
        assert self.reply().startswith("220")
        for line, code in (
            ("EHLO me", "250"),
            ("MAIL FROM:<a@example.org>", "250"),
            ("RCPT TO:<b@example.org>", "250"),
            ("DATA", "354"),
        ):
            assert self.say(line).startswith(code)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture(autouse=True)
def _wires() -> Iterator[None]:
    yield
    while Wire.open:
        Wire.open.pop().close()


def temporary_files(blobs: Path) -> list[Path]:
    return list(blobs.glob(".new-*"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_client_gets_the_run_s_id_after_accept_has_returned(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()
    acceptor.gate.clear()
    sending = asyncio.create_task(asyncio.to_thread(send, gateway))
    await until(lambda: bool(acceptor.taken))
    assert not sending.done()
    acceptor.gate.set()
    assert await sending == (250, b"2.0.0 accepted as run-1")
    envelope = acceptor.taken[0].envelope
    assert (envelope.source, envelope.sender, envelope.recipients) == ("smtp", "a@example.org", ("b@example.org",))
    assert not envelope.authenticated
    assert acceptor.contents == [MAIL]


async def test_rule_durability_an_answer_goes_to_the_process_that_asked_and_not_to_the_one_after_it(blobs: Path) -> None:
    """Both count from 1: the second client must not be told that its mail was taken when the first one's was."""
    seen: list[RawEmail] = []
    gates = [asyncio.Event(), asyncio.Event()]

    async def accept(raw: RawEmail, _received: Received) -> Run:
        seen.append(raw)
        number = len(seen)
        await gates[number - 1].wait()
        return Run(f"run-{number}")

    options = ServerOptions(blobs_root=blobs, max_bytes=50_000_000, recipients=())
    gateway = Gateway(options, host="127.0.0.1", port=0, accept=accept)
    before = set(psutil.Process().children())
    await gateway.start()
    try:
        first = asyncio.create_task(asyncio.to_thread(send, gateway))
        await until(lambda: len(seen) == 1)
        for child in set(psutil.Process().children()) - before:
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            await first
        await until(lambda: not gateway.alive)
        await until(lambda: gateway.alive)
        second = asyncio.create_task(asyncio.to_thread(send_patiently, gateway))
        await until(lambda: len(seen) == 2)
        gates[0].set()
        await asyncio.sleep(0.3)
        gates[1].set()
        assert await second == (250, b"2.0.0 accepted as run-2")
    finally:
        await gateway.stop(0.5)
    assert not gateway.alive


async def test_a_gateway_that_cannot_be_started_again_keeps_trying_until_it_is_stopped(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await running()
    monkeypatch.setattr(gateway_module, "RESTART_SECONDS", (0.05, 0.1))
    tried: list[int] = []

    def no_room() -> None:
        tried.append(1)
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(gateway, "_bind", no_room)
        assert gateway._child is not None
        gateway._child.process.kill()
        await until(lambda: len(tried) >= 3)
    await until(lambda: gateway.alive)
    assert (await asyncio.to_thread(send_patiently, gateway))[0] == 250
    monkeypatch.setattr(gateway, "_bind", no_room)
    gateway._child.process.kill()
    await until(lambda: len(tried) >= 6)
    await gateway.stop(0.5)
    seen = len(tried)
    await asyncio.sleep(0.3)
    assert len(tried) == seen, "stopped, nothing is started again"


async def test_one_connection_may_send_several_mails(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()

    def several() -> None:
        with client(gateway) as smtp:
            for number in range(30):
                smtp.sendmail("a@example.org", ["b@example.org"], MAIL + str(number).encode())

    await asyncio.to_thread(several)
    assert len(acceptor.taken) == 30


async def test_the_null_sender_is_taken_as_such(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()
    assert (await asyncio.to_thread(send, gateway, sender=""))[0] == 250
    assert acceptor.taken[0].envelope.sender == ""


async def test_after_starttls_mail_is_taken_and_credentials_count(
    running: Running, acceptor: Acceptor, certificate: tuple[Path, Path], users: Path
) -> None:
    gateway = await running(tls_certificate=certificate[0], tls_key=certificate[1], users_file=users, require_auth=True)

    def secure() -> tuple[int, bytes]:
        with smtplib.SMTP("localhost", gateway.port, timeout=60) as smtp:
            smtp.starttls(context=ssl.create_default_context(cafile=str(certificate[0])))
            smtp.login("grace", "right")
            return smtp.docmd("NOOP") if smtp.sendmail("a@example.org", ["b@example.org"], MAIL) else (250, b"")

    assert (await asyncio.to_thread(secure))[0] == 250
    assert acceptor.taken[0].envelope.authenticated


@pytest.mark.parametrize(("user", "password"), [("grace", "wrong"), ("nobody", "right")])
async def test_wrong_credentials_are_refused_and_no_mail_is_taken(
    running: Running, acceptor: Acceptor, users: Path, user: str, password: str
) -> None:
    gateway = await running(users_file=users, require_auth=True)

    def attempt() -> int:
        with client(gateway) as smtp:
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                smtp.login(user, password)
            assert smtp.mail("a@example.org")[0] == 530
            return refused.value.smtp_code

    assert await asyncio.to_thread(attempt) == 535
    assert acceptor.taken == []


async def test_passwords_can_not_be_tried_for_ever_on_one_connection(running: Running, users: Path) -> None:
    gateway = await running(users_file=users)

    def attempts() -> list[str]:
        wire = Wire(gateway.port)
        wire.reply()
        wire.say("EHLO me")
        replies = [wire.say("AUTH PLAIN AGdyYWNlAHdyb25n") for _ in range(6)]
        wire.close()
        return replies

    replies = await asyncio.to_thread(attempts)
    assert [reply[:3] for reply in replies] == ["535"] * 5 + ["421"]


async def test_auth_is_offered_only_with_users_and_starttls_only_with_a_certificate(running: Running) -> None:
    gateway = await running()

    def offers() -> dict[str, str]:
        with client(gateway) as smtp:
            return smtp.esmtp_features

    found = await asyncio.to_thread(offers)
    assert {"size", "8bitmime", "smtputf8", "pipelining"} <= set(found)
    assert not {"auth", "starttls"} & set(found)


async def test_with_a_certificate_credentials_go_by_tls_alone_also_on_loopback(
    running: Running, certificate: tuple[Path, Path], users: Path
) -> None:
    gateway = await running(tls_certificate=certificate[0], tls_key=certificate[1], users_file=users)

    def attempt() -> tuple[bool, int]:
        with client(gateway) as smtp:
            return "auth" in smtp.esmtp_features, smtp.docmd("AUTH", "PLAIN AGdyYWNlAHJpZ2h0")[0]

    assert await asyncio.to_thread(attempt) == (False, 538)


async def test_a_mail_that_says_it_is_too_large_is_refused_before_it_is_sent(running: Running) -> None:
    gateway = await running(max_bytes=10_000)

    def announce() -> tuple[int, bytes]:
        with client(gateway) as smtp:
            return smtp.mail("a@example.org", ["SIZE=20000"])

    assert (await asyncio.to_thread(announce))[0] == 552


async def test_a_mail_that_turns_out_too_large_is_refused_and_leaves_nothing(
    running: Running, acceptor: Acceptor, blobs: Path
) -> None:
    gateway = await running(max_bytes=10_000)
    assert (await asyncio.to_thread(send, gateway, MAIL + b"x" * 70 * 1_000 + b"\r\n"))[0] == 552
    assert (await asyncio.to_thread(send, gateway, MAIL + (b"x" * 70 + b"\r\n") * 200))[0] == 552
    assert acceptor.taken == []
    assert [path for path in blobs.rglob("*") if path.is_file()] == []


async def test_a_stream_without_end_is_cut(running: Running, acceptor: Acceptor) -> None:
    gateway = await running(max_bytes=10_000)

    def flood() -> str:
        wire = Wire(gateway.port)
        wire.begin_data()
        with contextlib.suppress(OSError):
            for _ in range(2_000):
                wire.socket.sendall(b"x" * 1_000 + b"\r\n")
        try:
            return wire.reply()
        except ConnectionResetError:
            return ""
        finally:
            wire.close()

    assert (await asyncio.to_thread(flood))[:3] in ("552", "")
    assert acceptor.taken == []


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("b@example.org", 250),
        ("anyone@EXAMPLE.com", 250),
        ("c@example.org", 550),
        ("b@sub.example.com", 550),
        ("b%example.org@other.net", 550),
    ],
)
async def test_mail_is_taken_for_listed_recipients_only(running: Running, recipient: str, code: int) -> None:
    gateway = await running(recipients=("b@example.org", "@example.com"))
    assert (await asyncio.to_thread(send, gateway, recipient=recipient))[0] == code


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="binds beyond loopback")
async def test_beyond_loopback_without_listed_recipients_no_mail_is_taken(blobs: Path, acceptor: Acceptor) -> None:
    gateway = Gateway(ServerOptions(blobs_root=blobs, max_bytes=1_000, recipients=()), host="0.0.0.0", port=0, accept=acceptor)
    await gateway.start()
    try:
        assert (await asyncio.to_thread(send, gateway))[0] == 550
    finally:
        await gateway.stop(0.5)


@pytest.mark.parametrize(
    "failure", [EngineError("the engine is closed"), RuntimeError("anything else"), OSError(28, "No space left")]
)
async def test_when_accept_fails_the_client_is_told_to_try_again(running: Running, acceptor: Acceptor, failure: Exception) -> None:
    gateway = await running()
    acceptor.failure = failure
    code, answer = await asyncio.to_thread(send, gateway)
    assert (code, answer.split()[0]) == (451, b"4.3.0")
    acceptor.failure = None
    assert (await asyncio.to_thread(send, gateway))[0] == 250


async def test_when_the_mail_can_not_be_stored_the_client_is_told_to_try_again(
    running: Running, acceptor: Acceptor, blobs: Path
) -> None:
    gateway = await running()
    moved = blobs.with_name("away")
    blobs.rename(moved)
    blobs.write_bytes(b"")  # a file where the folder was: nothing can be written, whoever asks
    assert (await asyncio.to_thread(send, gateway))[0] == 451
    assert acceptor.taken == []
    blobs.unlink()
    moved.rename(blobs)
    assert (await asyncio.to_thread(send, gateway))[0] == 250


async def test_pipelined_commands_are_answered_in_order(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()

    def pipeline() -> list[str]:
        wire = Wire(gateway.port)
        wire.reply()
        wire.say("EHLO me")
        wire.socket.sendall(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
        replies = [wire.reply() for _ in range(3)]
        wire.socket.sendall(MAIL + b".\r\nMAIL FROM:<c@example.org>\r\nQUIT\r\n")
        return replies + [wire.reply() for _ in range(3)]

    replies = await asyncio.to_thread(pipeline)
    assert [reply[:3] for reply in replies] == ["250", "250", "354", "250", "250", "221"]
    assert len(acceptor.taken) == 1


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"..\r\n...x\r\n.y\r\n", b".\r\n..x\r\ny\r\n"),
        (b"bare\n.\nlf\r\n", b"bare\n.\nlf\r\n"),
        (b"smuggled\n.\r\nMAIL FROM:<x@y>\r\n", b"smuggled\n.\r\nMAIL FROM:<x@y>\r\n"),
        (b"smuggled\r\n.\nMAIL FROM:<x@y>\r\n", b"smuggled\r\n\nMAIL FROM:<x@y>\r\n"),
        (b"long " * 100_000 + b"\r\n", b"long " * 100_000 + b"\r\n"),
        (b"x" * 65_535 + b"\r\n.\r\n"[:2], b"x" * 65_535 + b"\r\n"),
        ("8-bit ä".encode() + b"\xff\r\n", "8-bit ä".encode() + b"\xff\r\n"),
        (b"", b""),
    ],
    ids=["dot-stuffing", "bare LF", "LF dot CRLF", "CRLF dot LF", "long line", "line at the buffer's end", "8-bit", "empty"],
)
async def test_the_bytes_are_stored_as_sent(running: Running, acceptor: Acceptor, sent: bytes, stored: bytes) -> None:
    gateway = await running()

    def raw() -> str:
        wire = Wire(gateway.port)
        wire.begin_data()
        wire.socket.sendall(sent + b".\r\n")
        reply = wire.reply()
        wire.close()
        return reply

    assert (await asyncio.to_thread(raw)).startswith("250")
    assert acceptor.contents == [stored]


async def test_a_client_gone_in_the_middle_of_data_leaves_nothing(running: Running, acceptor: Acceptor, blobs: Path) -> None:
    gateway = await running()
    wire = Wire(gateway.port)
    await asyncio.to_thread(wire.begin_data)
    wire.socket.sendall(b"half a mail\r\n" * 100_000)
    await until(lambda: bool(temporary_files(blobs)))
    wire.close()
    await until(lambda: not temporary_files(blobs))
    assert acceptor.taken == []
    assert (await asyncio.to_thread(send, gateway))[0] == 250


async def test_a_silent_client_is_cut_off_and_a_dribbling_one_is_not(running: Running, acceptor: Acceptor) -> None:
    gateway = await running(idle_seconds=2.0)

    def dribble_on() -> str:
        silent, wire = Wire(gateway.port), Wire(gateway.port)
        wire.begin_data()
        silent.reply()
        ended = threading.Event()
        watcher = threading.Thread(target=lambda: (silent.file.read(), ended.set()))
        watcher.start()
        while not ended.wait(0.1):  # longer than the idle limit, as the silent one shows; then as long again
            wire.socket.sendall(b"x\r\n")
        for _ in range(20):
            ended.clear()
            ended.wait(0.1)
            wire.socket.sendall(b"y\r\n")
        wire.socket.sendall(b".\r\n")
        watcher.join()
        reply = wire.reply()
        wire.close()
        silent.close()
        return reply

    assert (await asyncio.to_thread(dribble_on)).startswith("250")


async def test_fifty_senders_finish_while_a_huge_and_a_slow_mail_are_still_being_sent(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()
    slow, huge = Wire(gateway.port), Wire(gateway.port)
    for wire in (slow, huge):
        await asyncio.to_thread(wire.begin_data)
    done = threading.Event()

    def dribble() -> str:
        sent = 0
        while not done.wait(0.005):
            slow.socket.sendall(b"x")
            sent += 1
        slow.socket.sendall(b"\r\n.\r\n")
        return slow.reply()

    def send_huge() -> str:
        line = b"y" * 998 + b"\r\n"
        for number in range(30_000):
            huge.socket.sendall(line)
            if number == 29_000:
                done.wait()  # all but the last megabyte is there when the others have finished
        huge.socket.sendall(b".\r\n")
        return huge.reply()

    with ThreadPoolExecutor(60) as threads:
        loop = asyncio.get_running_loop()
        long = [loop.run_in_executor(threads, work) for work in (dribble, send_huge)]
        many = [loop.run_in_executor(threads, send, gateway, MAIL + b"%d\r\n" % number) for number in range(50)]
        assert {code for code, _ in await asyncio.gather(*many)} == {250}
        assert not any(sending.done() for sending in long)
        done.set()
        assert [reply[:3] for reply in await asyncio.gather(*long)] == ["250", "250"]
    assert len(acceptor.taken) == 52
    assert max(raw.blob.size_bytes for raw in acceptor.taken) == 30_000_000
    for wire in (slow, huge):
        wire.close()


async def test_a_large_mail_grows_neither_process_by_its_size(running: Running) -> None:
    gateway = await running()
    (child,) = [process for process in psutil.Process().children() if "spawn_main" in " ".join(process.cmdline())]
    assert (await asyncio.to_thread(send, gateway))[0] == 250
    content = MAIL + (b"y" * 76 + b"\r\n") * 500_000
    before = [process.memory_info().rss for process in (psutil.Process(), child)]
    wire = Wire(gateway.port)

    def deliver() -> str:
        wire.begin_data()
        wire.socket.sendall(content)
        wire.socket.sendall(b".\r\n")
        return wire.reply()

    assert (await asyncio.to_thread(deliver)).startswith("250")
    grown = [process.memory_info().rss - size for process, size in zip((psutil.Process(), child), before, strict=True)]
    assert max(grown) < 20_000_000
    wire.close()


async def test_more_recipients_than_the_limit_are_refused_one_by_one(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()

    def many() -> list[int]:
        with client(gateway) as smtp:
            smtp.mail("a@example.org")
            codes = [smtp.rcpt(f"r{number}@example.org")[0] for number in range(1_001)]
            return [*codes, smtp.data(MAIL)[0]]

    codes = await asyncio.to_thread(many)
    assert (codes[999], codes[1_000], codes[1_001]) == (250, 452, 250)
    assert len(acceptor.taken[0].envelope.recipients) == 1_000


async def test_more_connections_than_the_limit_are_told_to_come_later(running: Running) -> None:
    gateway = await running()

    def crowd() -> str:
        wires = [Wire(gateway.port) for _ in range(200)]
        for wire in wires:
            assert wire.reply().startswith("220")
        late = Wire(gateway.port)
        refused = late.reply()
        for wire in (*wires, late):
            wire.close()
        return refused[:3]

    assert (await asyncio.to_thread(crowd)) == "421"
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(_is_taken, gateway):
            pass


def _is_taken(gateway: Gateway) -> bool:
    try:
        return send(gateway)[0] == 250
    except smtplib.SMTPException:
        return False


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MAIL FROM:<a b@c>", "501"),
        ("MAIL FROM:<a@example.org", "501"),
        ("MAIL FROM:a@example.org", "501"),
        ("MAIL FROM:<a@b> BODY=9BIT", "501"),
        ("RCPT TO:<b@example.org>", "503"),
        ("NONSENSE", "500"),
        ("DATA", "503"),
    ],
)
async def test_wrong_syntax_and_order_are_refused(running: Running, line: str, code: str) -> None:
    gateway = await running()

    def say() -> str:
        wire = Wire(gateway.port)
        wire.reply()
        wire.say("EHLO me")
        reply = wire.say(line)
        wire.close()
        return reply

    assert (await asyncio.to_thread(say)).startswith(code)


async def test_a_recipient_needs_a_domain_unless_it_is_the_postmaster(running: Running) -> None:
    gateway = await running()
    code, answer = await asyncio.to_thread(send, gateway, MAIL, "nobody")
    assert (code, answer) == (553, b"5.1.3 expected an address with a domain")
    assert (await asyncio.to_thread(send, gateway, MAIL, "Postmaster"))[0] == 250


async def test_an_address_that_is_not_utf_8_is_refused(running: Running) -> None:
    gateway = await running()

    def say() -> str:
        wire = Wire(gateway.port)
        wire.reply()
        wire.say("EHLO me")
        wire.socket.sendall(b"MAIL FROM:<a\xff@example.org> SMTPUTF8\r\n")
        reply = wire.reply()
        wire.close()
        return reply

    assert (await asyncio.to_thread(say)).startswith("5")


async def test_an_internationalised_address_is_taken(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()

    def international() -> None:
        with client(gateway) as smtp:
            smtp.sendmail("jürgen@example.org", ["b@example.org"], MAIL, mail_options=["SMTPUTF8"])

    await asyncio.to_thread(international)
    assert acceptor.taken[0].envelope.sender == "jürgen@example.org"


async def test_stop_lets_a_mail_under_way_end_and_tells_idle_clients_to_come_later(running: Running, acceptor: Acceptor) -> None:
    gateway = await running()
    idle, busy = Wire(gateway.port), Wire(gateway.port)
    idle.reply()
    await asyncio.to_thread(busy.begin_data)
    stopping = asyncio.create_task(gateway.stop(30.0))
    assert (await asyncio.to_thread(idle.reply)).startswith("421")
    busy.socket.sendall(MAIL + b".\r\n")
    assert await asyncio.to_thread(busy.reply) == "250 2.0.0 accepted as run-1"
    await stopping
    assert len(acceptor.taken) == 1
    with pytest.raises(OSError, match=r"refused"):
        socket.create_connection(("127.0.0.1", gateway.port))


async def test_stop_tells_a_mail_that_does_not_end_in_time_to_come_later(running: Running, acceptor: Acceptor, blobs: Path) -> None:
    gateway = await running()
    wire = Wire(gateway.port)
    await asyncio.to_thread(wire.begin_data)
    wire.socket.sendall(b"half\r\n")
    await gateway.stop(0.2)
    assert (await asyncio.to_thread(wire.reply)).startswith("421")
    assert acceptor.taken == []
    assert temporary_files(blobs) == []
    await gateway.stop(0.2)


async def test_rule_settings_a_busy_port_is_an_error_that_names_it_and_its_setting(blobs: Path, acceptor: Acceptor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = Gateway(ServerOptions(blobs_root=blobs, max_bytes=1, recipients=()), host="127.0.0.1", port=port, accept=acceptor)
        with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port}.*AUTOPILOT_SMTP_PORT"):
            await gateway.start()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("users_file", "grace:plain\n", r"users:1: expected user:scrypt"),
        ("tls_certificate", "no certificate", "AUTOPILOT_SMTP_TLS_CERTIFICATE"),
    ],
)
async def test_a_wrong_users_file_or_certificate_is_an_error_at_the_start(
    running: Running, tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / "users"
    path.write_text(content)
    with pytest.raises(SettingsError, match=message):
        await running(**{name: path})


PARENT = """
import asyncio, sys
from pathlib import Path
from otel_autopilot.pipeline.email.gateway import Gateway
from otel_autopilot.pipeline.email.smtp_server import ServerOptions

async def accept(raw, received):
    await asyncio.Event().wait()

async def main():
    gateway = Gateway(ServerOptions(blobs_root=Path(sys.argv[1]), max_bytes=1_000_000, recipients=()), host="127.0.0.1", port=0, accept=accept)
    await gateway.start()
    print(gateway.port, flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_killed_parent_leaves_no_orphan_and_no_mail_answered_with_250(tmp_path: Path, blobs: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), str(blobs), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    wire = Wire(port)
    await asyncio.to_thread(wire.begin_data)
    wire.socket.sendall(MAIL + b".\r\n")
    await until(lambda: any(path.is_file() and not path.name.startswith(".") for path in blobs.rglob("*")))
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    try:
        reply = await asyncio.to_thread(wire.reply)
    except ConnectionResetError:
        reply = ""
    assert not reply.startswith("250")
    await until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    wire.close()


@needs_swaks
@pytest.mark.parametrize("extra", [(), ("--tls",), ("--tls", "--auth", "PLAIN", "--auth-user", "grace", "--auth-password", "right"),
                                   ("--tls", "--auth", "LOGIN", "--auth-user", "grace", "--auth-password", "right"), ("--pipeline",)],
                         ids=["plain", "tls", "auth plain", "auth login", "pipelining"])  # fmt: skip
async def test_swaks_gets_its_mail_accepted(
    running: Running, acceptor: Acceptor, certificate: tuple[Path, Path], users: Path, extra: tuple[str, ...]
) -> None:
    gateway = await running(tls_certificate=certificate[0], tls_key=certificate[1], users_file=users)
    swaks = await asyncio.create_subprocess_exec(
        "swaks", "--server", f"127.0.0.1:{gateway.port}", "--from", "a@example.org", "--to", "b@example.org", *extra,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await swaks.communicate()
    if b"not available" in output or b"requires" in output.lower():
        pytest.skip("swaks lacks a Perl module for this")
    assert swaks.returncode == 0, output.decode()
    assert b"250 2.0.0 accepted as run-1" in output
    assert acceptor.taken[0].envelope.authenticated is ("--auth" in extra)
