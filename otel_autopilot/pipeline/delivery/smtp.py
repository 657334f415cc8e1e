"""Digest mail: composed as a proper answer, sent over SMTP to one recipient at a time."""

from __future__ import annotations

import asyncio
import email.policy
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from hashlib import sha256

import aiosmtplib
from opentelemetry.trace import Span

from otel_autopilot.pipeline.delivery.attempt import Refused, Uncertain, without_addresses
from otel_autopilot.pipeline.delivery.manners import Recipient
from otel_autopilot.pipeline.delivery.options import DeliveryOptions
from otel_autopilot.pipeline.delivery.targets import Target, is_loopback
from otel_autopilot.pipeline.messages import Digest, Email
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.propagation import mail_headers
from otel_autopilot.telemetry.spans import set_attributes


def compose(digest: Digest, original: Email, recipient: Recipient, *, run_id: str, options: DeliveryOptions) -> EmailMessage:
    """The digest as a mail: multipart/alternative, threaded to the original, marked as automatic (RFC 3834).

    Its Message-ID follows from the run and the recipient, so the same digest sent twice is recognised by whoever gets it.
    """
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"] = _address(options.sender, "Digest")
    mail["To"] = _address(recipient.address)
    subject = _one_line(digest.title) or "(no subject)"
    mail["Subject"] = f"Re: {subject}" if recipient.is_reply else f"Digest: {subject}"
    mail["Date"] = format_datetime(localtime())
    domain = options.sender.rpartition("@")[2] or "localhost"
    mail["Message-ID"] = f"<{sha256(f'{run_id} {recipient.address}'.encode()).hexdigest()[:32]}@{domain}>"
    if _is_id(original.message_id):
        mail["In-Reply-To"] = original.message_id
        references = [item for item in (*original.references[-20:], original.message_id) if _is_id(item)]
        mail["References"] = " ".join(dict.fromkeys(str(item) for item in references))
    mail["Auto-Submitted"] = "auto-replied" if recipient.is_reply else "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    for name, value in mail_headers(recipient.address, options.trace_header_domains).items():
        mail[name] = value
    mail.set_content(digest.text)
    mail.add_alternative(
        f"<!doctype html>\n<html><head><meta charset='utf-8'></head><body>\n{digest.html}\n</body></html>\n", subtype="html"
    )
    return mail


async def send_mail(mail: EmailMessage, target: Target, recipient: Recipient, options: DeliveryOptions, current: Span) -> None:
    """One try: the null envelope sender for answers, STARTTLS where it is offered (and required with credentials).

    Raises Refused (4xx may pass, 5xx won't) and Uncertain when the connection broke after the last byte of DATA.
    """
    context = ssl.create_default_context()
    if is_loopback(target.host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # a loopback server has no name that a certificate could carry
    client = aiosmtplib.SMTP(
        hostname=target.host, port=target.port, use_tls=target.tls, start_tls=True if options.smtp_user and not target.tls else None,
        tls_context=context, timeout=options.timeout_seconds, local_hostname="localhost",
    )  # fmt: skip
    sent = False
    try:
        async with asyncio.timeout(options.timeout_seconds):
            await client.connect()
            if options.smtp_user:
                await client.login(options.smtp_user, options.smtp_password or "")
            sender = "" if recipient.is_reply else options.sender
            utf8 = not recipient.address.isascii()
            await client.mail(sender, options=["SMTPUTF8"] if utf8 else None, encoding="utf-8" if utf8 else "ascii")
            await client.rcpt(recipient.address, encoding="utf-8" if utf8 else "ascii")
            content = mail.as_bytes(policy=email.policy.SMTPUTF8 if utf8 else email.policy.SMTP)
            sent = True
            reply = await client.data(content)
            set_attributes(current, {names.SMTP_CODE: reply.code})
    except aiosmtplib.SMTPResponseException as error:
        set_attributes(current, {names.SMTP_CODE: error.code})
        raise Refused(
            f"the SMTP server answered {error.code}: {without_addresses(error.message)}", retryable=_may_pass(error)
        ) from error
    except aiosmtplib.SMTPRecipientsRefused as error:
        first = error.recipients[0]
        set_attributes(current, {names.SMTP_CODE: first.code})
        raise Refused(
            f"the SMTP server answered {first.code}: {without_addresses(first.message)}", retryable=400 <= first.code < 500
        ) from error
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ssl.SSLError) as error:
        what = without_addresses(str(error)) or type(error).__name__
        if sent:
            raise Uncertain(f"the connection broke after the mail was sent and before the server answered ({what})") from error
        raise Refused(f"the SMTP server can't be reached or broke off ({what})", retryable=True) from error
    finally:
        client.close()


def _may_pass(error: aiosmtplib.SMTPResponseException) -> bool:
    """4xx may pass (RFC 5321 section 4.2.1); a failed login won't by itself."""
    return 400 <= error.code < 500 and not isinstance(error, aiosmtplib.SMTPAuthenticationError)


def _address(address: str, name: str = "") -> Address | str:
    local, _, domain = address.rpartition("@")
    try:
        return Address(name, local, domain)
    except (ValueError, IndexError):
        return _one_line(address)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]


def _is_id(value: str | None) -> bool:
    return (
        bool(value)
        and str(value).startswith("<")
        and str(value).endswith(">")
        and str(value).isascii()
        and not set(" \r\n\t") & set(str(value))
    )
