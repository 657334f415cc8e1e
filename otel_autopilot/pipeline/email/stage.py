"""The email stage: a stored mail becomes a typed, routed `Email`."""

from __future__ import annotations

from collections.abc import Sequence

from otel_autopilot.errors import EmailError, WorkTimeout
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.email.parse import ParseLimits, parse
from otel_autopilot.pipeline.email.routing import Route, Routes
from otel_autopilot.pipeline.email.verify import TxtResolver, is_trusted
from otel_autopilot.pipeline.messages import Address, Email, RawEmail
from otel_autopilot.pipeline.workers import WorkerPool
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.redaction import learn
from otel_autopilot.telemetry.spans import set_attributes, span

#: Limit of the routing rules when one has a regular expression, in seconds.
ROUTE_SECONDS = 5.0


async def read_email(
    raw: RawEmail,
    *,
    pool: WorkerPool,
    blobs: BlobStore,
    routes: Routes,
    trusted_senders: Sequence[str] = (),
    limits: ParseLimits | None = None,
    resolver: TxtResolver | None = None,
) -> Email:
    """Parse, verify and route one mail; raises EmailError when it isn't a mail, WorkError when it broke its worker."""
    with span(names.EMAIL_PARSE) as current:
        email = await pool.run(parse, raw.blob.path, blobs.root, raw.envelope.sender, limits or ParseLimits())
        learn(*known_values(email), *filter(None, (raw.envelope.sender, *raw.envelope.recipients)))
        set_attributes(
            current,
            {
                names.EMAIL_PARTS: len(email.bodies) + len(email.attachments),
                names.EMAIL_ATTACHMENTS: len(email.attachments),
                names.EMAIL_FORWARDED: len(email.forwarded),
                names.EMAIL_SKIPPED: sorted({part.reason for part in email.every_skipped()}),
                names.EMAIL_DEFECTS: list(email.defects),
                names.EMAIL_AUTOMATIC: email.automatic,
            },
        )
    trusted = False
    if trusted_senders:
        with span(names.EMAIL_VERIFY) as current:
            trusted = await is_trusted(raw, trusted_senders, resolver)
            set_attributes(current, {names.EMAIL_TRUSTED: trusted})
    with span(names.EMAIL_ROUTE) as current:
        route = await _choose(email, routes, pool)
        set_attributes(current, {names.EMAIL_RULE: route.rule, names.WORKFLOW: route.workflow})
    return email.model_copy(update={"trusted": trusted, "rule": route.rule, "workflow": route.workflow})


async def _choose(email: Email, routes: Routes, pool: WorkerPool) -> Route:
    if not routes.has_patterns:
        return routes.choose(email)
    try:
        return await pool.run(routes.choose, email, timeout_seconds=ROUTE_SECONDS)
    except WorkTimeout as error:
        raise EmailError(
            f"the routing rules took longer than {ROUTE_SECONDS:g} s on one subject: simplify subject_regex in AUTOPILOT_ROUTES_FILE"
        ) from error


def known_values(email: Email) -> tuple[str, ...]:
    """What of a mail must not show in telemetry: subject, names, addresses, message ids, file names; forwarded ones too."""
    people: list[Address] = [*email.to, *email.cc, *email.reply_to]
    if email.sender is not None:
        people.append(email.sender)
    values = [email.subject, email.message_id or "", email.in_reply_to or "", *email.references]
    values += [part.filename for part in (*email.bodies, *email.attachments)]
    for person in people:
        values += [person.name, person.address]
    for forwarded in email.forwarded:
        values += known_values(forwarded)
    return tuple(dict.fromkeys(value for value in values if value))
