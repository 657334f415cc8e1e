"""Whether a sender is who the mail says: SMTP AUTH, or a DKIM signature of the From domain (RFC 6376).

An address on the allow-list means nothing by itself: anybody can write it into a From field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from email.parser import BytesHeaderParser
from email.policy import compat32
from pathlib import Path

import dkim
import dns.exception
import dns.resolver

from otel_autopilot.pipeline.email import headers
from otel_autopilot.pipeline.messages import RawEmail
from otel_autopilot.pipeline.threads import in_thread

#: Looks a TXT record up: the name (bytes or str) and a timeout in seconds; returns its bytes or None.
TxtResolver = Callable[..., bytes | None]
#: Limit of one DNS look-up, in seconds.
DNS_SECONDS = 5.0
#: A signed mail larger than this is not verified: it is then not trusted.
SIZE_LIMIT_BYTES = 20_000_000


def matches(address: str, allowed: Iterable[str]) -> bool:
    """Whether an address is on a list of addresses and @domains."""
    address = address.strip().lower()
    domain = address.rpartition("@")[2]
    for item in allowed:
        wanted = item.strip().lower()
        if wanted == address or (wanted.startswith("@") and wanted[1:] == domain) or ("@" not in wanted and wanted == domain):
            return bool(domain)
    return False


async def is_trusted(raw: RawEmail, allowed: Iterable[str], resolver: TxtResolver | None = None) -> bool:
    """Whether the sender is allow-listed *and* verified. Never raises: what can't be verified is not trusted."""
    allowed = tuple(allowed)
    if not allowed:
        return False
    sender = await in_thread(_from_address, raw.blob.path)
    if sender is None or not matches(sender, allowed):
        return False
    if raw.envelope.authenticated:
        return raw.envelope.sender is None or raw.envelope.sender.lower() == sender.lower()
    if raw.blob.size_bytes > SIZE_LIMIT_BYTES:
        return False
    return await in_thread(_dkim_aligned, raw.blob.path, sender.rpartition("@")[2].lower(), resolver or _txt)


def _from_address(path: Path) -> str | None:
    with path.open("rb") as file:
        mail = BytesHeaderParser(policy=compat32).parsebytes(
            file.read(262_144).partition(b"\r\n\r\n")[0].partition(b"\n\n")[0] + b"\n\n"
        )
    senders = headers.addresses(mail, "From")
    return senders[0].address if len(senders) == 1 and len(mail.get_all("From", [])) == 1 else None


def _dkim_aligned(path: Path, from_domain: str, resolver: TxtResolver) -> bool:
    """A valid signature whose d= is the From domain or a parent of it (relaxed alignment, RFC 7489 section 3.1.1)."""
    try:
        verifier = dkim.DKIM(path.read_bytes())
    except (dkim.DKIMException, ValueError):  # headers that dkimpy can't read
        return False
    signatures = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
    for index in range(min(signatures, 5)):
        try:
            if not verifier.verify(index, dnsfunc=resolver):
                continue
        except (dkim.DKIMException, dns.exception.DNSException, ValueError, TypeError, OSError):
            continue
        if b"l" in verifier.signature_fields:  # only a part of the body is signed: anybody may add to it (RFC 6376 section 8.2)
            continue
        domain = (verifier.domain or b"").decode("ascii", "replace").lower()
        if domain and "." in domain and (from_domain == domain or from_domain.endswith("." + domain)):
            return True
    return False


def _txt(name: bytes | str, timeout: float = DNS_SECONDS) -> bytes | None:
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
    try:
        answer = dns.resolver.resolve(text, "TXT", lifetime=min(timeout, DNS_SECONDS))
    except (dns.exception.DNSException, OSError):
        return None
    for record in answer:
        return b"".join(record.strings)
    return None
