"""`POST /api/emails`: mail over HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from otel_autopilot.errors import EngineError
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import Blob, Envelope, RawEmail
from otel_autopilot.service.ports import EmailEngine
from otel_autopilot.service.uploads import read_upload
from otel_autopilot.web.problems import Problem, responses
from otel_autopilot.workflow.runs import Accepted

#: Uploads taken at the same time; each holds a file descriptor and up to 256 KiB.
MOST_UPLOADS = 64
#: Recipients of one mail, and characters of an address (RFC 5321, section 4.5.3.1: 64 + 1 + 255).
MOST_RECIPIENTS, LONGEST_ADDRESS = 1_000, 320


class AcceptedEmail(BaseModel):
    """A mail that is stored, and the run it belongs to."""

    model_config = ConfigDict(title="AcceptedEmail")

    run_id: str
    created: bool = Field(description="False when the same mail (Message-ID, body, recipients) was there already.")
    conflict: bool = Field(description="True when its Message-ID was seen with another body or other recipients.")
    location: str = Field(description="Where the run can be followed.")


class AcceptedEmails(AcceptedEmail):
    """The first mail of the request, and all of them."""

    model_config = ConfigDict(
        title="AcceptedEmails",
        json_schema_extra={
            "example": {
                "run_id": "5f0c6f3e9b1f4a4f9d5d3c1b2a190807", "created": True, "conflict": False,
                "location": "/api/runs/5f0c6f3e9b1f4a4f9d5d3c1b2a190807",
                "emails": [
                    {
                        "run_id": "5f0c6f3e9b1f4a4f9d5d3c1b2a190807", "created": True, "conflict": False,
                        "location": "/api/runs/5f0c6f3e9b1f4a4f9d5d3c1b2a190807",
                    }
                ],
            }
        },
    )  # fmt: skip

    emails: list[AcceptedEmail]


_MAIL = "From: Ann <ann@example.org>\r\nTo: digest@example.org\r\nSubject: Hello\r\nMessage-ID: <1@example.org>\r\n\r\nText.\r\n"
_BODY = {
    "required": True,
    "content": {
        "message/rfc822": {"schema": {"type": "string", "format": "binary"}, "example": _MAIL},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "file": {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "Mails."},
                    "sender": {"type": "string", "description": "Envelope sender of all of them."},
                    "recipient": {"type": "array", "items": {"type": "string"}, "description": "Envelope recipients."},
                },
            }
        },
    },
}
_ENVELOPE = [
    {
        "name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": description,
        "example": example,
    }
    for name, description, example in (
        ("X-Envelope-From", "Envelope sender (MAIL FROM); `<>` is the null sender.", "ann@example.org"),
        ("X-Envelope-To", "Envelope recipients (RCPT TO), separated by commas.", "digest@example.org, team@example.org"),
    )
]  # fmt: skip


def router(engine: EmailEngine, blobs: BlobStore) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["emails"])
    uploads = 0

    @routes.post(
        "/api/emails",
        status_code=202,
        response_model=AcceptedEmails,
        summary="Send mails into the pipeline",
        openapi_extra={"requestBody": _BODY, "parameters": _ENVELOPE},
        responses={
            200: {"model": AcceptedEmails, "description": "All of them were there already."},
            **responses(400, 401, 403, 408, 413, 415, 421, 422, 429, 500, 503),
        },
    )
    async def post_email(request: Request) -> Response:
        """Store mails durably and start their runs. The same mail again is the same run.

        Addresses travel in headers or form fields, not in the URL: URLs end up in logs.
        """
        nonlocal uploads
        received = time.time_ns()
        if engine.draining:
            raise Problem(503, "shutting down: not taking mail; try again soon", headers={"Retry-After": "5"})
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise Problem(415, "expected a body without a content encoding: send the mail as it is")
        if uploads >= MOST_UPLOADS:
            raise Problem(429, f"{MOST_UPLOADS} uploads are under way; try again soon", headers={"Retry-After": "1"})
        uploads += 1
        try:
            upload = await read_upload(request, blobs)
            sender, recipients = _envelope(request, upload.fields)
            accepted = [
                await engine.accept(
                    _raw(mail, sender, recipients, authenticated=bool(request.state.authenticated), received_unix_nano=received)
                )
                for mail in upload.mails
            ]
        except (EngineError, OSError) as error:
            why = str(error) if isinstance(error, EngineError) else f"the mail can't be stored: {error.strerror}"
            raise Problem(503, f"{why}; try again", headers={"Retry-After": "5"}) from error
        finally:
            uploads -= 1
        return _answer(accepted)

    return routes


def _raw(mail: Blob, sender: str | None, recipients: tuple[str, ...], *, authenticated: bool, received_unix_nano: int) -> RawEmail:
    envelope = Envelope(
        source="api", sender=sender, recipients=recipients, authenticated=authenticated,
        received_unix_nano=received_unix_nano, stored_unix_nano=time.time_ns(),
    )  # fmt: skip
    return RawEmail(blob=mail, envelope=envelope)


def _envelope(request: Request, fields: dict[str, list[str]]) -> tuple[str | None, tuple[str, ...]]:
    """Envelope sender and recipients, of the headers or the form."""
    sender = request.headers.get("x-envelope-from") or next(iter(fields.get("sender", ())), None)
    given = [*request.headers.getlist("x-envelope-to"), *fields.get("recipient", ())]
    recipients = tuple(address.strip() for line in given for address in line.split(",") if address.strip())
    if len(recipients) > MOST_RECIPIENTS:
        raise Problem(422, f"expected at most {MOST_RECIPIENTS} envelope recipients, got {len(recipients)}")
    if any(not _plausible(address) for address in recipients) or not (sender in (None, "", "<>") or _plausible(str(sender))):
        raise Problem(422, "an envelope address is none: expected local-part@domain")
    return "" if sender == "<>" else sender, recipients


def _plausible(address: str) -> bool:
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain) and len(address) <= LONGEST_ADDRESS and address.isprintable() and " " not in address


def _answer(accepted: Sequence[Accepted]) -> Response:
    emails = [
        {"run_id": item.run_id, "created": item.created, "conflict": item.conflict, "location": f"/api/runs/{item.run_id}"}
        for item in accepted
    ]
    status = 202 if any(item.created for item in accepted) else 200
    headers = {"Location": str(emails[0]["location"])}
    return Response(orjson.dumps({**emails[0], "emails": emails}), status, headers, "application/json")
