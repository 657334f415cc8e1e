"""Spans of what a stage did: a context manager, and a way to record what another process measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from otel_autopilot.telemetry import names


def tracer() -> trace.Tracer:
    """Our tracer, from whichever provider the process has set."""
    return _tracer_of(trace.get_tracer_provider())


@lru_cache(maxsize=4)
def _tracer_of(provider: trace.TracerProvider) -> trace.Tracer:
    # The SDK makes a new one at each call, in a tenth of the time that a span takes.
    return provider.get_tracer(names.SCOPE, schema_url=names.SEMCONV_SCHEMA_URL)


def attributes_of(values: Mapping[names.Attribute, AttributeValue | None]) -> dict[str, AttributeValue]:
    """Attribute values by name, without those that are None."""
    return {attribute.name: value for attribute, value in values.items() if value is not None}


def set_attributes(span: Span, values: Mapping[names.Attribute, AttributeValue | None]) -> None:
    """Set attributes on a span, leaving out those that are None."""
    span.set_attributes(attributes_of(values))


@contextmanager
def span(
    name: names.SpanName,
    values: Mapping[names.Attribute, AttributeValue | None] | None = None,
    *,
    links: Sequence[Link] = (),
) -> Iterator[Span]:
    """A span around a block; an exception is recorded, sets status and ``error.type``, and is raised again."""
    with tracer().start_as_current_span(
        name.name, kind=SpanKind[name.kind], attributes=attributes_of(values or {}), links=links,
        record_exception=False, set_status_on_exception=False,
    ) as current:  # fmt: skip
        try:
            yield current
        except BaseException as error:
            fail(current, error)
            raise


def record_span(
    name: names.SpanName,
    start_unix_nano: int,
    end_unix_nano: int,
    values: Mapping[names.Attribute, AttributeValue | None] | None = None,
    error: BaseException | None = None,
) -> None:
    """A finished span below the current one, for work timed elsewhere (a child process). Times are ``time.time_ns()``."""
    finished = tracer().start_span(
        name.name, kind=SpanKind[name.kind], attributes=attributes_of(values or {}), start_time=start_unix_nano
    )
    if error is not None:
        fail(finished, error)
    finished.end(max(start_unix_nano, end_unix_nano))


def fail(current: Span, error: BaseException) -> None:
    """Mark a span failed: exception event, ``error.type``, status ERROR with the error's text."""
    current.record_exception(error)
    current.set_attribute(names.ERROR_TYPE.name, type(error).__qualname__)
    current.set_status(Status(StatusCode.ERROR, str(error) or type(error).__qualname__))
