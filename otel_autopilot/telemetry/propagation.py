"""Trace context through carriers and through mail headers.

A mail from outside may carry ``traceparent``; whoever sent it chose it. By itself it is a *link*. It is a parent only when
the sender is allow-listed and verified (SMTP AUTH or DKIM). Baggage from outside is dropped. There is no standard for trace
context in mail; the header names are those of W3C Trace Context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_TRACE_CONTEXT = TraceContextTextMapPropagator()

#: Header names that carry trace context in a mail.
MAIL_HEADERS = ("traceparent", "tracestate")


def inject(carrier: MutableMapping[str, str]) -> None:
    """Write the current trace context (``traceparent``, ``tracestate``) into a carrier; baggage is not written."""
    _TRACE_CONTEXT.inject(carrier)


def extract(carrier: Mapping[str, str]) -> Context:
    """A fresh context below the carrier's ``traceparent``; an empty one when it holds none that is valid."""
    return _TRACE_CONTEXT.extract(dict(carrier), Context())


def parse_traceparent(value: str, tracestate: str = "") -> SpanContext | None:
    """The remote span context of a W3C ``traceparent``, or None when it isn't valid."""
    carrier = {"traceparent": value.strip(), "tracestate": tracestate.strip()}
    context = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier, otel_context.Context())).get_span_context()
    return context if context.is_valid else None


@dataclass(frozen=True)
class Origin:
    """What an incoming mail's trace headers amount to: at most one of the two is set."""

    parent: SpanContext | None = None
    link: Link | None = None


def mail_origin(traceparent: str | None, tracestate: str | None, *, trusted: bool) -> Origin:
    """Apply the trust rule: a parent from a trusted sender, a link from anybody else, nothing when it isn't valid."""
    context = parse_traceparent(traceparent or "", tracestate or "")
    if context is None:
        return Origin()
    return Origin(parent=context) if trusted else Origin(link=Link(context))


def mail_headers(recipient: str, allowed_domains: Iterable[str]) -> dict[str, str]:
    """Trace headers for a mail to this recipient: those of the current span for allow-listed domains, else none."""
    domain = recipient.rpartition("@")[2].lower().rstrip(".")
    allowed = {item.lower().lstrip("@").rstrip(".") for item in allowed_domains}
    if not domain or domain not in allowed:
        return {}
    headers: dict[str, str] = {}
    _TRACE_CONTEXT.inject(headers, otel_context.get_current())
    return headers
