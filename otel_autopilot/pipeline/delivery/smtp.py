"""Digest mail over SMTP (RFC 5321), to one recipient at a time, so that each has an outcome of its own."""

from __future__ import annotations

import asyncio
import email.policy
import re
import socket
import ssl
from email.message import EmailMessage

import aiosmtplib
from opentelemetry.trace import Span

from otel_autopilot.pipeline.delivery import tls
from otel_autopilot.pipeline.delivery.addresses import with_ascii_domain
from otel_autopilot.pipeline.delivery.attempt import Refused, Uncertain
from otel_autopilot.pipeline.delivery.manners import Recipient
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.outbox import MaySend
from otel_autopilot.pipeline.delivery.server_words import servers_words
from otel_autopilot.pipeline.delivery.targets import Target, is_loopback
from otel_autopilot.pipeline.threads import in_thread
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.spans import set_attributes

#: How long a server may take over QUIT, in seconds. By then the outcome is known.
QUIT_SECONDS = 2.0

_START_OF_LINE = re.compile(rb"^\.", re.MULTILINE)
_LINE_END = re.compile(rb"\r\n|\r|\n")


async def send_mail(
    mail: EmailMessage, target: Target, recipient: Recipient, options: DeliveryOptions, current: Span, may_send: MaySend
) -> bool:
    """One try: the null envelope sender for answers, STARTTLS where it is offered (and required with credentials).

    ``may_send`` is asked when the server has taken the recipient, before DATA; False is returned when it says no.
    Raises Refused (4xx may pass, 5xx won't) and Uncertain when the connection broke after the content was on its way: a
    server that has seen the last line may have taken the mail. Neither quotes an address.
    """
    envelope = _Envelope(options.sender, recipient)
    client = _client(target, options, await in_thread(tls.for_smtp, loopback=is_loopback(target.host)))
    sent = False
    try:
        async with asyncio.timeout(options.timeout_seconds):
            await client.connect()
            if options.smtp_user:
                await client.login(options.smtp_user, options.smtp_password or "")
            await envelope.announce(client)
            content = await in_thread(_content, mail, utf8=envelope.needs_utf8)
            if not await may_send():
                await _quit(client)
                return False
            start = await client.execute_command(b"DATA")
            if start.code != aiosmtplib.SMTPStatus.start_input:
                raise aiosmtplib.SMTPDataError(start.code, start.message)
            assert client.protocol is not None
            sent = True
            client.protocol.write(content)
            reply = await client.protocol.read_response(timeout=options.timeout_seconds)
            set_attributes(current, {names.SMTP_CODE: reply.code})
            if not 200 <= reply.code < 300:
                raise aiosmtplib.SMTPDataError(reply.code, reply.message)
        await _quit(client)
    # The errors of the library quote addresses: they don't become the cause of ours, which is exported with its causes.
    except aiosmtplib.SMTPResponseException as error:
        if not 400 <= error.code < 600:
            raise _broke("its answer can't be understood", sent) from None
        set_attributes(current, {names.SMTP_CODE: error.code})
        await _quit(client)
        raise _refused(error) from None
    except aiosmtplib.SMTPNotSupported as error:
        await _quit(client)
        raise Refused(f"the SMTP server lacks what is needed: {error.message}", retryable=False) from None
    except ssl.SSLError as error:
        raise _tls(error, sent) from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        if isinstance(error.__cause__, ssl.SSLError):
            raise _tls(error.__cause__, sent) from None
        if isinstance(error, aiosmtplib.SMTPException) and "STARTTLS" in error.message:
            raise Refused("the SMTP server offers no STARTTLS, and credentials don't go unencrypted", retryable=False) from None
        raise _broke("timeout" if isinstance(error, TimeoutError) else _reason(error), sent) from None
    finally:
        client.close()
    return True


class _Envelope:
    """Sender and recipient as the server is told them (RFC 5321; RFC 6531 where they aren't ASCII)."""

    def __init__(self, sender: str, recipient: Recipient) -> None:
        self.sender = "" if recipient.is_reply else with_ascii_domain(sender)
        self.recipient = with_ascii_domain(recipient.address)
        self.needs_utf8 = not (with_ascii_domain(sender) + self.recipient).isascii()  # From names the sender of answers, too

    async def announce(self, client: aiosmtplib.SMTP) -> None:
        """MAIL and RCPT; raises SMTPNotSupported when the server takes no address like these."""
        if self.needs_utf8 and not client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("it offers no SMTPUTF8, which addresses beyond ASCII need")
        encoding = "utf-8" if self.needs_utf8 else "ascii"
        await client.mail(self.sender, options=["SMTPUTF8"] if self.needs_utf8 else None, encoding=encoding)
        await client.rcpt(self.recipient, encoding=encoding)


def _client(target: Target, options: DeliveryOptions, context: ssl.SSLContext) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=target.host, port=target.port, use_tls=target.tls, start_tls=_start_tls(target, options), tls_context=context,
        timeout=options.timeout_seconds, local_hostname="localhost" if is_loopback(target.host) else socket.gethostname(),
    )  # fmt: skip


def _start_tls(target: Target, options: DeliveryOptions) -> bool | None:
    if target.tls:
        return False
    return True if options.smtp_user else None  # None: where it is offered


def _content(mail: EmailMessage, *, utf8: bool) -> bytes:
    """The lines of the mail as DATA wants them: CRLF, leading dots doubled, a dot at the end (RFC 5321 section 4.5.2)."""
    policy = mail.policy.clone(utf8=utf8, linesep="\r\n") if isinstance(mail.policy, email.policy.EmailPolicy) else mail.policy
    lines = _LINE_END.sub(b"\r\n", mail.as_bytes(policy=policy))
    return _START_OF_LINE.sub(b"..", lines) + (b"" if lines.endswith(b"\r\n") else b"\r\n") + b".\r\n"


async def _quit(client: aiosmtplib.SMTP) -> None:
    """Part politely (RFC 5321 section 4.1.1.10). The outcome stands, whatever the server makes of it."""
    if not client.is_connected:
        return
    try:
        await client.quit(timeout=QUIT_SECONDS)
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        return  # the caller closes the connection


def _refused(error: aiosmtplib.SMTPResponseException) -> Refused:
    """4xx may pass (RFC 5321 section 4.2.1). 421 and what comes before MAIL are the host's word, the rest is about this mail."""
    before_mail = isinstance(
        error, (aiosmtplib.SMTPConnectResponseError, aiosmtplib.SMTPHeloError, aiosmtplib.SMTPAuthenticationError)
    )
    said = servers_words(error.message)
    return Refused(
        f"the SMTP server answered {error.code}" + (f": {said}" if said else ""), retryable=error.code < 500,
        host=before_mail or error.code == aiosmtplib.SMTPStatus.domain_unavailable,
    )  # fmt: skip


def _broke(what: str, sent: bool) -> Refused | Uncertain:
    if sent:
        return Uncertain(f"the connection broke after the mail was sent and before the server answered ({what})")
    return Refused(f"the SMTP server can't be reached or broke off ({what})", retryable=True, host=True)


def _tls(error: ssl.SSLError, sent: bool) -> Refused | Uncertain:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(f"the SMTP server's certificate isn't trusted ({error.verify_message})", retryable=False, host=True)
    return _broke(error.reason or type(error).__name__, sent)


def _reason(error: Exception) -> str:
    """What broke, in words that are never a server's."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "connection lost" if isinstance(error, aiosmtplib.SMTPServerDisconnected) else type(cause).__name__
